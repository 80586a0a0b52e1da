{{/* What a training worker needs to create Jobs: CORPUSMILL_KUBERNETES_*, the form of their pods. */}}
{{- define "corpusmill.jobEnv" -}}
{{- $fullname := include "corpusmill.fullname" . -}}
{{- $job := .Values.training.job -}}
{{- $service := include "corpusmill.service" (dict "root" $ "name" "training") | fromYaml -}}
{{- $image := include "corpusmill.image" (dict "root" $ "name" "training" "digest" $service.digest) | trimAll "\"" -}}
{{- $labels := include "corpusmill.selector" (dict "root" $ "component" "training-run") | fromYaml -}}
{{- $env := dict
  "NAMESPACE" .Release.Namespace
  "IMAGE" $image
  "IMAGE_PULL_POLICY" .Values.image.pullPolicy
  "IMAGE_PULL_SECRETS" (join "," .Values.image.pullSecrets)
  "SERVICE_ACCOUNT" (printf "%s-training-run" $fullname)
  "RUN_AS_USER" "10001"
  "FS_GROUP" "10001"
  "LABELS" (toJson $labels)
  "GPU_RESOURCE" $job.gpuResource
  "REQUESTS" (include "corpusmill.quantities" $job.resources.requests)
  "LIMITS" (include "corpusmill.quantities" $job.resources.limits)
  "SHARED_MEMORY" $job.shmSize
  "SCRATCH" $job.tmpSize
  "STOP_GRACE" (int $job.stopGraceSeconds | toString)
  "RUNTIME_CLASS" $job.runtimeClassName
  "PRIORITY_CLASS" $job.priorityClassName
  "NODE_SELECTOR" (toJson $job.nodeSelector)
  "TOLERATIONS" (toJson $job.tolerations)
  "AFFINITY" (toJson $job.affinity)
  "ENV" (toJson $job.env)
  "ENV_FROM_CONFIG_MAPS" (printf "%s-settings" $fullname)
  "ENV_FROM_SECRETS" .Values.store.existingSecret
  "STORE_CLAIM" (include "corpusmill.claim" .)
-}}
{{- range $name, $value := $job.settings }}{{ $_ := set $env (upper $name) (include "corpusmill.plain" $value) }}{{ end -}}
{{- range $name, $value := $env }}
- name: CORPUSMILL_KUBERNETES_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Quantities as JSON strings, whatever way they were written in the values. */}}
{{- define "corpusmill.quantities" -}}
{{- $all := dict -}}
{{- range $name, $value := . }}{{ $_ := set $all $name (include "corpusmill.plain" $value) }}{{ end -}}
{{- toJson $all -}}
{{- end }}
