{{/* Names, labels and what the services have in common. `$` is the root everywhere. */}}

{{- define "corpusmill.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* The labels that selectors use; of (dict "root" $ "component" name). They never change. */}}
{{- define "corpusmill.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* All labels; of (dict "root" $ "component" name). */}}
{{- define "corpusmill.labels" -}}
{{ include "corpusmill.selector" . }}
app.kubernetes.io/part-of: corpusmill
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* A service's values, the defaults below them, as YAML; of (dict "root" $ "name" service). */}}
{{- define "corpusmill.service" -}}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values.services .name | default dict)) | toYaml -}}
{{- end }}

{{/* The services that are there, as a list in JSON under `items`. */}}
{{- define "corpusmill.enabled" -}}
{{- $items := list -}}
{{- range $name, $_ := .Values.services -}}
{{- $service := include "corpusmill.service" (dict "root" $ "name" $name) | fromYaml -}}
{{- if $service.enabled }}{{ $items = append $items $name }}{{ end -}}
{{- end -}}
{{- dict "items" $items | toJson -}}
{{- end }}

{{/* An image; of (dict "root" $ "name" service "digest" digest). */}}
{{- define "corpusmill.image" -}}
{{- $image := .root.Values.image -}}
{{- if .digest -}}
{{- printf "%s-%s@%s" $image.repository .name .digest | quote -}}
{{- else -}}
{{- printf "%s-%s:%s" $image.repository .name (default .root.Chart.AppVersion $image.tag) | quote -}}
{{- end -}}
{{- end }}

{{/* Whether something scales a service: `keda`, `hpa` or nothing; of (dict "root" $ "service" values). */}}
{{- define "corpusmill.scaledBy" -}}
{{- if and .service.autoscaling.enabled (ne .root.Values.autoscaling.mode "none") -}}
{{- .root.Values.autoscaling.mode -}}
{{- end -}}
{{- end }}

{{/* A number as an environment variable: Helm's own are floating-point and would read 1e+09. */}}
{{- define "corpusmill.plain" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}
