// Reads dashboards as strictly as Grafana's own schema has them.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err == nil {
			var board dashboard.Dashboard
			if err = board.UnmarshalJSONStrict(text); err == nil {
				err = board.Validate()
			}
		}
		// What is valid comes back as a list of no errors.
		if err != nil && err.Error() != "" {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(1)
		}
	}
}
