// A ruleset of tflint, on its SDK: its one rule finds fault with every file that the host lists.
package main

import (
	"fmt"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/terraform-linters/tflint-plugin-sdk/plugin"
	"github.com/terraform-linters/tflint-plugin-sdk/tflint"
)

type noFiles struct {
	tflint.DefaultRule
}

func (*noFiles) Name() string              { return "no_files" }
func (*noFiles) Enabled() bool             { return true }
func (*noFiles) Severity() tflint.Severity { return tflint.WARNING }

func (rule *noFiles) Check(runner tflint.Runner) error {
	files, err := runner.GetFiles()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		message := fmt.Sprintf("%s has %d bytes", name, len(files[name].Bytes))
		if err := runner.EmitIssue(rule, message, hcl.Range{Filename: name}); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	plugin.Serve(&plugin.ServeOpts{RuleSet: &tflint.BuiltinRuleSet{
		Name: "ferrule", Version: "0.1.0", Rules: []tflint.Rule{&noFiles{}},
	}})
}
