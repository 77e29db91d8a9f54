{{/* Rules that the schema cannot express, because they compare values. And unsafe values that must be allowed explicitly. */}}
{{- define "latchkey.contradictions" -}}
{{- if and .Values.policy .Values.policyConfigMap -}}
{{- fail "policy and policyConfigMap are both set: set only one" -}}
{{- end -}}
{{- $open := not (or .Values.networkPolicy.enabled .Values.tls.grpc.secretName .Values.allowOpenGrpc) -}}
{{- if and (eq .Values.mode "service") $open -}}
{{- fail "the gRPC listener would be in clear text and open to every pod of the cluster: set networkPolicy.enabled with networkPolicy.grpcFrom, or tls.grpc.secretName, or allowOpenGrpc if a mesh or a policy of yours decides which clients may connect" -}}
{{- end -}}
{{- $closed := and .Values.networkPolicy.enabled (not .Values.networkPolicy.grpcFrom) (not .Values.allowOpenGrpc) -}}
{{- if and (eq .Values.mode "service") $closed -}}
{{- fail "no Envoy could reach the gRPC listener: name the Envoys in networkPolicy.grpcFrom, or set allowOpenGrpc if a mesh or a policy of yours decides which clients may connect, or networkPolicy.enabled=false with tls.grpc.secretName" -}}
{{- end -}}
{{- if and .Values.tls.auth.secretName (not .Values.forwardAuth.enabled) -}}
{{- fail "tls.auth.secretName has no effect without forwardAuth.enabled" -}}
{{- end -}}
{{- if and (eq .Values.mode "service") .Values.forwardAuth.enabled -}}
{{- if not (or .Values.networkPolicy.enabled .Values.tls.auth.secretName .Values.forwardAuth.allowOpen) -}}
{{- fail "the forward-auth listener would be in clear text and open to every pod of the cluster: set networkPolicy.enabled with networkPolicy.authFrom, or tls.auth.secretName, or forwardAuth.allowOpen if a mesh or a policy of yours decides which proxies may connect" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.authFrom) (not .Values.forwardAuth.allowOpen) -}}
{{- fail "no proxy could reach the forward-auth listener: name the proxies in networkPolicy.authFrom, or set forwardAuth.allowOpen if a mesh or a policy of yours decides which proxies may connect" -}}
{{- end -}}
{{- $cleartext := splitList "," (nospace (toString (default "" .Values.settings.ALLOW_CLEARTEXT))) -}}
{{- if not (or .Values.tls.auth.secretName (has "auth" $cleartext)) -}}
{{- fail "the forward-auth listener would not start in clear text: name auth in settings.ALLOW_CLEARTEXT where a mesh encrypts, or set tls.auth.secretName" -}}
{{- end -}}
{{- end -}}
{{- if eq (int .Values.sidecar.port) (int .Values.sidecar.upstreamPort) -}}
{{- fail "sidecar.port and sidecar.upstreamPort are the same port: Envoy and its upstream need two" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is below minReplicas" -}}
{{- end -}}
{{- end }}
