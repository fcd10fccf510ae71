// Package check renders the chart as Helm does, for many sets of values, and decodes what comes out as Kubernetes does.
package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const folder = "../servicebroker"

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render is what `helm template broker … -n databases -f values` does.
func render(t *testing.T, values string) (map[string]string, error) {
	t.Helper()
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	options := chartutil.ReleaseOptions{Name: "broker", Namespace: "databases", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(load(t), given, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(load(t), all)
}

// objects are what a rendering came to, decoded strictly.
type objects struct {
	notes        string
	sets         []appsv1.StatefulSet
	services     map[string]corev1.Service
	configs      []corev1.ConfigMap
	budgets      []policyv1.PodDisruptionBudget
	policies     []networkingv1.NetworkPolicy
	accounts     []corev1.ServiceAccount
	others       map[string]map[string]any // by kind: those whose types are no part of Kubernetes
	numberOfKind map[string]int
}

func decode(t *testing.T, values string) *objects {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatalf("%v", err)
	}
	o := &objects{services: map[string]corev1.Service{}, others: map[string]map[string]any{}, numberOfKind: map[string]int{}}
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			o.notes = text
			continue
		}
		for _, document := range strings.Split("\n"+text, "\n---") {
			if err := o.take([]byte(document)); err != nil {
				t.Errorf("%s: %v in\n%s", name, err, document)
			}
		}
	}
	return o
}

func (o *objects) take(document []byte) error {
	var head struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil || len(bytes.TrimSpace(document)) == 0 || head.Kind == "" {
		return err
	}
	o.numberOfKind[head.Kind]++
	switch head.APIVersion + " " + head.Kind {
	case "apps/v1 StatefulSet":
		return add(document, &o.sets)
	case "v1 ConfigMap":
		return add(document, &o.configs)
	case "v1 ServiceAccount":
		return add(document, &o.accounts)
	case "policy/v1 PodDisruptionBudget":
		return add(document, &o.budgets)
	case "networking.k8s.io/v1 NetworkPolicy":
		return add(document, &o.policies)
	case "v1 Service":
		var s corev1.Service
		err := yaml.UnmarshalStrict(document, &s)
		o.services[s.Name] = s
		return err
	case "gateway.networking.k8s.io/v1alpha2 TCPRoute", "gateway.networking.k8s.io/v1alpha2 TLSRoute", "monitoring.coreos.com/v1 ServiceMonitor":
		var any map[string]any
		err := yaml.UnmarshalStrict(document, &any)
		o.others[head.Kind] = any
		return err
	}
	return fmt.Errorf("nobody expected %s %s", head.APIVersion, head.Kind)
}

func add[T any](document []byte, all *[]T) error {
	var one T
	err := yaml.UnmarshalStrict(document, &one)
	*all = append(*all, one)
	return err
}

// Helm's own lint has nothing to say but that there is no icon.
func TestLint(t *testing.T) {
	for _, message := range lint.AllWithKubeVersion(folder, nil, "databases", nil).Messages {
		if message.Severity > support.InfoSev {
			t.Error(message)
		}
	}
}

// cases are sets of values, and what has to hold with them.
var cases = []struct {
	name, values string
	judge        func(*testing.T, *objects)
}{
	{"defaults", "", func(t *testing.T, o *objects) {
		for name, kind := range map[string]corev1.ServiceType{"broker-servicebroker": "LoadBalancer", "broker-servicebroker-0": "LoadBalancer", "broker-servicebroker-1": "LoadBalancer"} {
			if s := o.services[name]; s.Spec.Type != kind || s.Spec.ExternalTrafficPolicy != "Local" || s.Spec.Ports[0].Port != 1521 {
				t.Errorf("%s: %+v", name, s.Spec)
			}
		}
		if !strings.Contains(o.notes, "remote_listener='broker-servicebroker-0.databases:1521,broker-servicebroker-1.databases:1521'") {
			t.Error(o.notes)
		}
		if claims := o.sets[0].Spec.VolumeClaimTemplates; len(claims) != 1 || claims[0].Name != "state" {
			t.Errorf("claims %v", claims)
		}
	}},
	{"inside", "{service: {type: ClusterIP}, gateway: {kind: TCPRoute, parentRefs: [{name: edge}]}, replicaCount: 3}", func(t *testing.T, o *objects) {
		if s := o.services["broker-servicebroker-2"]; s.Spec.Type != "ClusterIP" || s.Spec.ExternalTrafficPolicy != "" {
			t.Errorf("%+v", s.Spec)
		}
		if o.others["TCPRoute"] == nil {
			t.Error("no TCPRoute")
		}
	}},
	{"node ports", "{service: {type: NodePort, nodePort: 31521}, perPodService: {nodePorts: [31522, 31523]}}", func(t *testing.T, o *objects) {
		if one, other := o.services["broker-servicebroker"].Spec.Ports[0].NodePort, o.services["broker-servicebroker-1"].Spec.Ports[0].NodePort; one != 31521 || other != 31523 {
			t.Errorf("ports %d and %d", one, other)
		}
	}},
	{"existing ConfigMap", "{config: {existingConfigMap: oracle, key: my.ora, instance: CMAN1}}", func(t *testing.T, o *objects) {
		if o.configs[0].Data["my.ora"] != "" || !strings.Contains(o.configs[0].Data["pod.ora"], "IFILE = /etc/servicebroker/config/my.ora\n") {
			t.Errorf("%v", o.configs[0].Data)
		}
		if args := o.sets[0].Spec.Template.Spec.Containers[0].Args; args[len(args)-1] != "CMAN1" {
			t.Errorf("%q", args)
		}
	}},
	{"persistent volumes", "{config: {existingClaim: nfs, subPath: cman}, logs: {persistence: {enabled: true, existingClaim: logs}}, state: {persistence: {enabled: false}}}", func(t *testing.T, o *objects) {
		mounts := map[string]corev1.VolumeMount{}
		for _, m := range o.sets[0].Spec.Template.Spec.Containers[0].VolumeMounts {
			mounts[m.Name] = m
		}
		if mounts["logs"].SubPathExpr != "$(POD_NAME)" || mounts["config"].SubPath != "cman" || !strings.Contains(o.configs[0].Data["pod.ora"], "IFILE = /etc/servicebroker-volume/cman.ora\n") {
			t.Errorf("%v\n%v", mounts, o.configs[0].Data)
		}
		if len(o.sets[0].Spec.VolumeClaimTemplates) != 0 {
			t.Error("there are claims")
		}
	}},
	{"logs of their own", "{logs: {persistence: {enabled: true, storageClassName: fast}}}", func(t *testing.T, o *objects) {
		if claims := o.sets[0].Spec.VolumeClaimTemplates; len(claims) != 2 || *claims[1].Spec.StorageClassName != "fast" {
			t.Errorf("%v", claims)
		}
	}},
	{"TLS", "{tls: {secretName: cert}, rest: {credentialsSecretName: who}, consul: {address: 'consul:8500', tokenSecretName: token}, gateway: {kind: TLSRoute, parentRefs: [{name: edge}], hostnames: [db.example.com]}}", func(t *testing.T, o *objects) {
		for _, want := range []string{"TLS_CERTIFICATE = /etc/servicebroker/tls/tls.crt", "REST_ADDRESS = 0.0.0.0:1525", "CONSUL_TOKEN_FILE = /etc/servicebroker/consul/token"} {
			if !strings.Contains(o.configs[0].Data["pod.ora"], want) {
				t.Errorf("no %s", want)
			}
		}
		if len(o.services["broker-servicebroker"].Spec.Ports) != 3 || o.others["TLSRoute"] == nil || !strings.Contains(o.configs[0].Data["cman.ora"], "(PORT=2484)") {
			t.Errorf("%+v\n%s", o.services["broker-servicebroker"].Spec.Ports, o.configs[0].Data["cman.ora"])
		}
	}},
	{"peers and DNS", "{replicaCount: 3, tls: {secretName: cert}, rest: {credentialsSecretName: who}, peers: {credentialsSecretName: who, caSecretName: cert}, dns: {zone: db.example.com, target: brokers, brokers: [192.0.2.10, 192.0.2.11], service: {type: LoadBalancer}}, networkPolicy: {enabled: true}}", func(t *testing.T, o *objects) {
		for _, want := range []string{
			"PEERS = (https://broker-servicebroker-0.broker-servicebroker-pods.databases.svc:1525,https://broker-servicebroker-1.broker-servicebroker-pods.databases.svc:1525,https://broker-servicebroker-2.broker-servicebroker-pods.databases.svc:1525)\n",
			"PEER_CREDENTIALS = /etc/servicebroker/peers/credentials\n", "PEER_CA = /etc/servicebroker/peers/ca.crt\n",
			"DNS_ADDRESS = 0.0.0.0:5353\n", "DNS_ZONE = db.example.com\n", "DNS_TARGET = brokers\n", "DNS_BROKERS = (192.0.2.10,192.0.2.11)\n",
		} {
			if !strings.Contains(o.configs[0].Data["pod.ora"], want) {
				t.Errorf("no %s in\n%s", want, o.configs[0].Data["pod.ora"])
			}
		}
		names := o.services["broker-servicebroker-dns"].Spec
		if len(names.Ports) != 2 || names.Ports[0].Protocol != "UDP" || names.Ports[0].Port != 53 || names.Type != "LoadBalancer" {
			t.Errorf("%+v", names)
		}
		if len(o.policies[0].Spec.Ingress) != 4 || o.policies[0].Spec.Ingress[1].From[0].PodSelector == nil {
			t.Errorf("%+v", o.policies[0].Spec.Ingress)
		}
		files := map[string]bool{}
		for _, s := range o.sets[0].Spec.Template.Spec.Volumes[0].Projected.Sources {
			if s.Secret != nil {
				for _, item := range s.Secret.Items {
					files[item.Path] = true
				}
			}
		}
		if !files["peers/credentials"] || !files["peers/ca.crt"] {
			t.Errorf("%v", files)
		}
	}},
	{"behind a proxy", "{proxyProtocol: {networks: [192.0.2.0/24, 198.51.100.7]}, parameters: {LOG_LEVEL: admin, MAX_SESSIONS: 500}, databases: [10.1.0.0/16, db7]}", func(t *testing.T, o *objects) {
		if !strings.Contains(o.configs[0].Data["pod.ora"], "PROXY_PROTOCOL = (IN=192.0.2.0/24,198.51.100.7)") || !strings.Contains(o.configs[0].Data["pod.ora"], "MAX_SESSIONS = 500") {
			t.Error(o.configs[0].Data["pod.ora"])
		}
	}},
	{"guarded and watched", "{networkPolicy: {enabled: true, clients: [10.0.0.0/8], metrics: [10.9.0.0/16]}, metrics: {annotations: false, serviceMonitor: {enabled: true, labels: {release: prometheus}}}, serviceAccount: {create: false}, podDisruptionBudget: {enabled: false}}", func(t *testing.T, o *objects) {
		if len(o.policies) != 1 || len(o.policies[0].Spec.Ingress) != 2 || o.others["ServiceMonitor"] == nil || len(o.budgets)+len(o.accounts) != 0 {
			t.Errorf("%+v", o.numberOfKind)
		}
	}},
	{"placed", "{nodeSelector: {disk: ssd}, tolerations: [{key: a, operator: Exists}], affinity: {nodeAffinity: {}}, topologySpreadConstraints: [{maxSkew: 2, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}], priorityClassName: high, podAnnotations: {a: b}, podLabels: {c: d}, extraEnv: [{name: TZ, value: Europe/Berlin}], extraVolumes: [{name: x, emptyDir: {}}], extraVolumeMounts: [{name: x, mountPath: /x}], image: {pullSecrets: [one]}}", func(t *testing.T, o *objects) {
		pod := o.sets[0].Spec.Template
		if pod.Spec.TopologySpreadConstraints[0].MaxSkew != 2 || pod.Annotations["a"] != "b" || pod.Labels["c"] != "d" || pod.Spec.ImagePullSecrets[0].Name != "one" || len(pod.Spec.Tolerations) != 1 {
			t.Errorf("%+v", pod)
		}
	}},
}

func TestTemplates(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := decode(t, c.values)
			if len(o.sets) != 1 || len(o.configs) != 1 {
				t.Fatalf("%v", o.numberOfKind)
			}
			judgePod(t, o)
			judgeServices(t, o)
			c.judge(t, o)
			keep(t, c.name, o)
		})
	}
}

// judgePod looks at what holds whatever the values are.
func judgePod(t *testing.T, o *objects) {
	t.Helper()
	pod := o.sets[0].Spec.Template.Spec
	broker := pod.Containers[0]
	if !*pod.SecurityContext.RunAsNonRoot || !*broker.SecurityContext.ReadOnlyRootFilesystem || *broker.SecurityContext.AllowPrivilegeEscalation ||
		broker.SecurityContext.Capabilities.Drop[0] != "ALL" || *pod.AutomountServiceAccountToken || pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("the pod may too much: %+v %+v", pod.SecurityContext, broker.SecurityContext)
	}
	if broker.LivenessProbe.HTTPGet.Path != "/livez" || broker.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Error("probes ask elsewhere")
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, claim := range o.sets[0].Spec.VolumeClaimTemplates {
		volumes[claim.Name] = true
	}
	for _, m := range broker.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	var grace, drain int64
	for line := range strings.Lines(o.configs[0].Data["pod.ora"]) {
		_, _ = fmt.Sscanf(line, "SHUTDOWN_GRACE = %d", &grace)
		_, _ = fmt.Sscanf(line, "DRAIN_TIMEOUT = %d", &drain)
	}
	if drain == 0 || *pod.TerminationGracePeriodSeconds <= grace+drain {
		t.Errorf("%d s until the pod is killed, but %d s and %d s to end", *pod.TerminationGracePeriodSeconds, grace, drain)
	}
}

// judgeServices looks whether each Service leads to the pods, by ports that they have.
func judgeServices(t *testing.T, o *objects) {
	t.Helper()
	set := o.sets[0]
	ports := map[string]bool{}
	for _, p := range set.Spec.Template.Spec.Containers[0].Ports {
		ports[p.Name] = true
	}
	for name, s := range o.services {
		for _, p := range s.Spec.Ports {
			if !ports[p.TargetPort.StrVal] {
				t.Errorf("%s: the pod has no port %s", name, p.TargetPort.String())
			}
		}
		for key, value := range s.Spec.Selector {
			if key != appsv1.StatefulSetPodNameLabel && set.Spec.Template.Labels[key] != value {
				t.Errorf("%s selects no pod: %s=%s", name, key, value)
			}
		}
	}
	if o.services[set.Spec.ServiceName].Spec.ClusterIP != "None" {
		t.Errorf("the set names %s, which is no headless Service", set.Spec.ServiceName)
	}
}

// keep writes the configuration files to $CHART_FILES, for who has a broker to check them with.
func keep(t *testing.T, name string, o *objects) {
	t.Helper()
	to := os.Getenv("CHART_FILES")
	if to == "" {
		return
	}
	to = filepath.Join(to, strings.ReplaceAll(name, " ", "-"))
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for key, text := range o.configs[0].Data {
		if err := os.WriteFile(filepath.Join(to, key), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Values that make no sense are refused before anything is installed.
func TestBadValues(t *testing.T) {
	for values, want := range map[string]string{
		"{service: {type: Ingress}}": "service",
		"{replicaCount: 0}":          "replicaCount",
		"{replicas: 2}":              "replicas",
		"{drainTimeout: -1}":         "drainTimeout",
		"{config: {existingConfigMap: a, existingClaim: b}}":   "config",
		"{gateway: {kind: TCPRoute}}":                          "parentRefs",
		"{gateway: {kind: TLSRoute, parentRefs: [{name: a}]}}": "tls.secretName",
		"{rest: {credentialsSecretName: a}}":                   "secretName",
		"{peers: {credentialsSecretName: a}}":                  "credentialsSecretName",
		"{dns: {zone: 'a b'}}":                                 "zone",
		"{dns: {zone: a.example, target: brokers}}":            "brokers",
		"{parameters: {'log level': user}}":                    "log level",
		"{logs: {persistence: {enabled: true, size: large}}}":  "size",
		"{metrics: {port: 80}}":                                "port",
		"{service: {externalTrafficPolicy: local}}":            "externalTrafficPolicy",
	} {
		if _, err := render(t, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %s", values, err, want)
		}
	}
}
