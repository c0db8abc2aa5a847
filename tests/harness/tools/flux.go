// Reads objects as Flux does: its own strictly, and how any other is by kstatus.
package main

import (
	"fmt"
	"os"

	flux "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	switch command {
	case "kustomization":
		return yaml.UnmarshalStrict(text, &flux.Kustomization{})
	case "kstatus":
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return err
		}
		result, err := status.Compute(object)
		if err == nil {
			fmt.Printf("%s: %s", result.Status, result.Message)
		}
		return err
	}
	return fmt.Errorf("%s: write kustomization FILE or kstatus FILE", command)
}
