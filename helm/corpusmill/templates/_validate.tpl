{{/* What the schema cannot say: values that must be there, or that exclude each other. */}}
{{- define "corpusmill.validate" -}}
{{- $v := .Values -}}
{{- $_ := required "store.url must be set: where everything is kept" $v.store.url -}}
{{- if include "corpusmill.claim" . -}}
  {{- if ne "/data" $v.store.url }}{{ fail "store.url must be /data where store.volume is used" }}{{ end -}}
{{- else if not (contains "://" $v.store.url) -}}
  {{- fail "store.url must be s3://, gs:// or az://, or store.volume must be set" -}}
{{- end -}}
{{- if $v.valkey.enabled -}}
  {{- $_ := required "valkey.existingSecret must be set: the Secret with Valkey's password" $v.valkey.existingSecret -}}
  {{- if $v.redis.existingSecret }}{{ fail "redis.existingSecret and valkey.enabled exclude each other" }}{{ end -}}
{{- else -}}
  {{- $_ := required "redis.existingSecret must be set, or valkey.enabled" $v.redis.existingSecret -}}
{{- end -}}
{{- if eq $v.autoscaling.mode "keda" -}}
  {{- if eq $v.autoscaling.trigger "prometheus" -}}
    {{- $_ := required "autoscaling.prometheus.serverAddress must be set for the trigger prometheus" $v.autoscaling.prometheus.serverAddress -}}
  {{- else -}}
    {{- $_ := required "autoscaling.metricsApi.existingSecret must be set for the trigger metrics-api" $v.autoscaling.metricsApi.existingSecret -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $v.autoscaling.mode "hpa") (eq $v.autoscaling.hpa.metric "external") (not $v.metrics.rules.enabled) -}}
  {{- fail "metrics.rules.enabled must be true for autoscaling.hpa.metric external: a rule records the metric" -}}
{{- end -}}
{{- if $v.ingress.enabled -}}
  {{- $_ := required "ingress.host must be set" $v.ingress.host -}}
  {{- $_ := required "ingress.tlsSecret must be set: tokens travel in requests" $v.ingress.tlsSecret -}}
{{- end -}}
{{- if $v.networkPolicy.enabled -}}
  {{- if not (or (include "corpusmill.claim" .) $v.networkPolicy.store.to) }}{{ fail "networkPolicy.store.to must be set: where the store answers" }}{{ end -}}
  {{- if not (or $v.valkey.enabled $v.networkPolicy.redis.to) }}{{ fail "networkPolicy.redis.to must be set: where Redis answers" }}{{ end -}}
  {{- if and (eq $v.training.backend "kubernetes") (not $v.networkPolicy.kubernetesApi.to) }}{{ fail "networkPolicy.kubernetesApi.to must be set for the training backend kubernetes" }}{{ end -}}
{{- end -}}
{{- range $name, $_ := $v.services -}}
  {{- $scaling := (include "corpusmill.service" (dict "root" $ "name" $name) | fromYaml).autoscaling -}}
  {{- if gt (int $scaling.min) (int $scaling.max) }}{{ fail (printf "services.%s.autoscaling.min must not be above max" $name) }}{{ end -}}
  {{- if and (eq $name "gateway") $scaling.enabled }}{{ fail "services.gateway.autoscaling.enabled must be false: set services.gateway.replicas" }}{{ end -}}
{{- end -}}
{{- end }}
