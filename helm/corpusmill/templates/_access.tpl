{{/*
The gateway needs an access token before it starts. This waits until the store has one, so that the
first can be made by `kubectl exec` in here, which prints it to whoever asks: it is in no log, no
Secret and no value. Where tokens exist already it ends at once.
*/}}
{{- define "corpusmill.firstToken" -}}
{{- $root := .root -}}
- name: first-token
  image: {{ include "corpusmill.image" (dict "root" $root "name" "gateway" "digest" .service.digest) }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command: [sh, -ec]
  args:
    - |
      until corpusmill token list --json | grep -q '"valid": true'; do
        echo "no access token yet: kubectl exec into this container: corpusmill token create NAME --role admin"
        sleep 5
      done
  envFrom: {{- include "corpusmill.envFrom" $root | nindent 4 }}
  {{- with include "corpusmill.caEnv" $root }}
  env: {{- . | nindent 4 }}
  {{- end }}
  resources: {{- toYaml .service.resources | nindent 4 }}
  securityContext: {{- include "corpusmill.containerSecurity" $root | nindent 4 }}
  volumeMounts: {{- include "corpusmill.mounts" . | nindent 4 }}
{{- end }}
