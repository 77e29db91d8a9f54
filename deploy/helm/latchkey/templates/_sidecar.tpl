{{/*
For your own pod template, with this chart as a dependency (mode: sidecar), in initContainers and in volumes:

  initContainers: {{- include "latchkey.sidecar.containers" .Subcharts.latchkey | nindent 8 }}
  volumes: {{- include "latchkey.sidecar.volumes" .Subcharts.latchkey | nindent 8 }}

Containers with restartPolicy are sidecars. Latchkey starts before Envoy, and Envoy before your container. They end in reverse order.
*/}}
{{- define "latchkey.sidecar.containers" -}}
- {{ include "latchkey.container" . | indent 2 | trim }}
  restartPolicy: Always
- name: envoy
  restartPolicy: Always
  image: {{ .Values.sidecar.envoyImage | quote }}
  args: [-c, /etc/envoy/envoy.yaml, --disable-hot-restart, --log-level, warning]
  ports:
    - { name: ingress, containerPort: {{ .Values.sidecar.port }} }
  startupProbe:
    tcpSocket: { port: ingress }
    periodSeconds: 1
    failureThreshold: 60
  readinessProbe:
    tcpSocket: { port: ingress }
    periodSeconds: 2
  securityContext:
    runAsUser: 65532
    {{- include "latchkey.containerSecurity" . | nindent 4 }}
  resources: {{- toYaml .Values.sidecar.envoyResources | nindent 4 }}
  volumeMounts:
    - { name: latchkey-envoy, mountPath: /etc/envoy, readOnly: true }
{{- end }}

{{- define "latchkey.sidecar.volumes" -}}
{{ include "latchkey.volumes" . }}
- { name: latchkey-envoy, configMap: { name: {{ include "latchkey.fullname" . }}-envoy } }
{{- end }}

{{/* envoy/sidecar.yaml, with the pod's ports. */}}
{{- define "latchkey.sidecar.envoy" -}}
{{ .Files.Get "files/sidecar.yaml"
  | replace "{ address: 127.0.0.1, port_value: 10000 }" (printf "{ address: 0.0.0.0, port_value: %d }" (int .Values.sidecar.port))
  | replace "{ address: 127.0.0.1, port_value: 8080 }" (printf "{ address: 127.0.0.1, port_value: %d }" (int .Values.sidecar.upstreamPort)) }}
{{- end }}

{{/* The PodMonitor selects pods by these labels. */}}
{{- define "latchkey.sidecar.labels" -}}
latchkey.io/sidecar: {{ .Release.Name }}
{{- end }}
