// Judges measurements with the analysis code of Argo Rollouts itself.
//
// One JSON object a line on stdin: {"limits": {"error_rate": 0.015}, "failure_limit": 4} once, then for each check
// {"values": {"error_rate": 0.02}}. After each check one line on stdout: the phase of the analysis run's worst metric.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	_ "unsafe"

	_ "github.com/argoproj/argo-rollouts/analysis"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	analysisutil "github.com/argoproj/argo-rollouts/utils/analysis"
	"github.com/argoproj/argo-rollouts/utils/evaluate"
	log "github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The controller's own rule, which it does not export.
//
//go:linkname assessMetricStatus github.com/argoproj/argo-rollouts/analysis.assessMetricStatus
func assessMetricStatus(metric v1alpha1.Metric, result v1alpha1.MetricResult, terminating bool) v1alpha1.AnalysisPhase

type setUp struct {
	Limits       map[string]float64 `json:"limits"`
	FailureLimit int                `json:"failure_limit"`
}

type check struct {
	Values map[string]float64 `json:"values"`
}

func main() {
	log.SetOutput(io.Discard)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	var asked setUp
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &asked) != nil {
		fmt.Fprintln(os.Stderr, "first line: {\"limits\": {metric: largest mean}, \"failure_limit\": n}")
		os.Exit(2)
	}
	metrics := metricsOf(asked)
	results := map[string]*v1alpha1.MetricResult{}
	for lines.Scan() {
		var one check
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		fmt.Println(judged(metrics, results, one))
	}
}

func metricsOf(asked setUp) []v1alpha1.Metric {
	names := make([]string, 0, len(asked.Limits))
	for name := range asked.Limits {
		names = append(names, name)
	}
	sort.Strings(names)
	limit := intstr.FromInt32(int32(asked.FailureLimit))
	metrics := []v1alpha1.Metric{}
	for _, name := range names {
		condition := fmt.Sprintf("result <= %g", asked.Limits[name])
		metrics = append(metrics, v1alpha1.Metric{Name: name, SuccessCondition: condition, FailureLimit: &limit})
	}
	return metrics
}

// judged adds a measurement of each metric that has a value and returns the worst phase.
func judged(metrics []v1alpha1.Metric, results map[string]*v1alpha1.MetricResult, one check) v1alpha1.AnalysisPhase {
	worst := v1alpha1.AnalysisPhase(v1alpha1.AnalysisPhasePending)
	for _, metric := range metrics {
		result := results[metric.Name]
		if result == nil {
			result = &v1alpha1.MetricResult{Name: metric.Name}
			results[metric.Name] = result
		}
		if value, ok := one.Values[metric.Name]; ok {
			measure(metric, result, value)
		}
		phase := assessMetricStatus(metric, *result, false)
		if analysisutil.IsWorse(worst, phase) {
			worst = phase
		}
	}
	return worst
}

// measure counts as the controller does when a measurement has completed.
func measure(metric v1alpha1.Metric, result *v1alpha1.MetricResult, value float64) {
	phase, err := evaluate.EvaluateResult(value, metric, *log.WithField("metric", metric.Name))
	if err != nil {
		phase = v1alpha1.AnalysisPhaseError
	}
	switch phase {
	case v1alpha1.AnalysisPhaseSuccessful:
		result.Successful++
		result.Count++
		result.ConsecutiveError = 0
	case v1alpha1.AnalysisPhaseFailed:
		result.Failed++
		result.Count++
		result.ConsecutiveError = 0
	case v1alpha1.AnalysisPhaseError:
		result.Error++
		result.ConsecutiveError++
	}
	result.Measurements = []v1alpha1.Measurement{{Phase: phase}}
}
