{{/* The parts of which pods are made. All of them pass the pod security standard `restricted`. */}}

{{- define "corpusmill.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "corpusmill.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods may run; of a map with nodeSelector, tolerations, affinity and so on. */}}
{{- define "corpusmill.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "corpusmill.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "corpusmill.secretEnv" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end }}

{{/* The settings from the ConfigMap, the store's credentials from the Secret that the user made. */}}
{{- define "corpusmill.envFrom" -}}
- configMapRef: {name: {{ include "corpusmill.fullname" . }}-settings}
{{- with .Values.store.existingSecret }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{/* CORPUSMILL_REDIS: a whole URL from a Secret, or that of the bundled Valkey with its password. */}}
{{- define "corpusmill.redisEnv" -}}
{{- if .Values.valkey.enabled -}}
{{ include "corpusmill.secretEnv" (dict "name" "REDIS_PASSWORD" "secret" .Values.valkey.existingSecret "key" .Values.valkey.key) }}
- name: CORPUSMILL_REDIS
  value: redis://:$(REDIS_PASSWORD)@{{ include "corpusmill.fullname" . }}-valkey:6379/0
{{- else -}}
{{ include "corpusmill.secretEnv" (dict "name" "CORPUSMILL_REDIS" "secret" .Values.redis.existingSecret "key" .Values.redis.key) }}
{{- end }}
{{- end }}

{{/* Where a private authority's certificates lie; not in the ConfigMap, which Jobs read without it. */}}
{{- define "corpusmill.caEnv" -}}
{{- if .Values.ca.existingConfigMap -}}
- name: SSL_CERT_FILE
  value: /etc/corpusmill/ca/ca.crt
{{- end }}
{{- end }}

{{/* Mounts and volumes; volumes of (dict "root" $ "sizes" map with tmpSize, cacheSize, shmSize). */}}
{{- define "corpusmill.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .sizes.cacheSize }}
- {name: cache, mountPath: /tmp/cache}
{{- end }}
{{- if .sizes.shmSize }}
- {name: shm, mountPath: /dev/shm}
{{- end }}
{{- if .root.Values.ca.existingConfigMap }}
- {name: ca, mountPath: /etc/corpusmill/ca, readOnly: true}
{{- end }}
{{- if include "corpusmill.claim" .root }}
- {name: store, mountPath: /data}
{{- end }}
{{- end }}

{{- define "corpusmill.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .sizes.tmpSize }}}
{{- with .sizes.cacheSize }}
- name: cache
  emptyDir: {sizeLimit: {{ . }}}
{{- end }}
{{- with .sizes.shmSize }}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ . }}}
{{- end }}
{{- with .root.Values.ca.existingConfigMap }}
- name: ca
  configMap: {name: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- with include "corpusmill.claim" .root }}
- name: store
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- end }}

{{/* The claim of the store's volume, or nothing. */}}
{{- define "corpusmill.claim" -}}
{{- if .Values.store.volume.existingClaim -}}
{{- .Values.store.volume.existingClaim -}}
{{- else if .Values.store.volume.size -}}
{{- include "corpusmill.fullname" . }}-store
{{- end -}}
{{- end }}

{{/* Probes of a service; the gateway's are those of its API, so that they see what users see. */}}
{{- define "corpusmill.probes" -}}
{{- $port := ternary "http" "metrics" (eq .name "gateway") -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ $port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ div (add (int .service.startupSeconds) 4) 5 }}
livenessProbe:
  httpGet: {path: /healthz, port: {{ $port }}}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 3
{{- end }}

{{- define "corpusmill.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "corpusmill.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
