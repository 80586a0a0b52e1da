{{/*
The home of the scaling query: how many workers a service wants. Those that run (so that nobody
scales in what works), and one for each T seconds of work that can run now. Several gateways tell
the same figures, so `max`. There is no `or vector(0)`: missing figures are an error, which has a
fallback, and not an empty queue. Of (dict "root" $ "name" service "service" values).
*/}}
{{- define "corpusmill.scalingQuery" -}}
{{- $matchers := list (printf "queue=%q" .name) -}}
{{- range $label, $value := .root.Values.autoscaling.prometheus.labels -}}
{{- $matchers = append $matchers (printf "%s=%q" $label $value) -}}
{{- end -}}
{{- $at := join "," $matchers -}}
{{- printf "max(corpusmill_queue_in_flight{%s}) + max(corpusmill_backlog_seconds{%s}) / %d" $at $at (int .service.autoscaling.targetSeconds) -}}
{{- end }}

{{/* How fast replicas may change, for KEDA and for the plain HPA; of a service's `autoscaling`. */}}
{{- define "corpusmill.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: {{ int .scaleUp.stabilizationSeconds }}
  selectPolicy: Max
  policies:
    - {type: Percent, value: {{ int .scaleUp.percent }}, periodSeconds: {{ int .scaleUp.periodSeconds }}}
    - {type: Pods, value: {{ int .scaleUp.pods }}, periodSeconds: {{ int .scaleUp.periodSeconds }}}
scaleDown:
  stabilizationWindowSeconds: {{ int .scaleDown.stabilizationSeconds }}
  selectPolicy: Max
  policies:
    - {type: Percent, value: {{ int .scaleDown.percent }}, periodSeconds: {{ int .scaleDown.periodSeconds }}}
{{- end }}
