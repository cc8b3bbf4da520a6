// Command echo-provider is a provider on protocol 5 that gives back each value that it gets, decoded by go-cty and encoded
// again. Its function `echo` takes anything. Any other function is named by the type of its only argument, in cty's
// notation; after `json:` the answer is in JSON. The resource `echo_value` has one attribute, `value`, of any type.
package main

import (
	"context"
	"log"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"github.com/zclconf/go-cty/cty/msgpack"
)

var value = cty.Object(map[string]cty.Type{"value": cty.DynamicPseudoType})

// provider has the methods that are called; the others are those of a nil interface.
type provider struct{ tfprotov5.ProviderServer }

func decoded(given *tfprotov5.DynamicValue, of cty.Type) (cty.Value, error) {
	if len(given.MsgPack) > 0 {
		return msgpack.Unmarshal(given.MsgPack, of)
	}
	return ctyjson.Unmarshal(given.JSON, of)
}

func again(given *tfprotov5.DynamicValue, of cty.Type) (*tfprotov5.DynamicValue, error) {
	found, err := decoded(given, of)
	if err != nil {
		return nil, err
	}
	data, err := msgpack.Marshal(found, of)
	return &tfprotov5.DynamicValue{MsgPack: data}, err
}

func inJSON(given *tfprotov5.DynamicValue, of cty.Type) (*tfprotov5.DynamicValue, error) {
	found, err := decoded(given, of)
	if err != nil {
		return nil, err
	}
	data, err := ctyjson.Marshal(found, of)
	return &tfprotov5.DynamicValue{JSON: data}, err
}

func (provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	attribute := &tfprotov5.SchemaAttribute{Name: "value", Type: tftypes.DynamicPseudoType, Optional: true}
	schema := &tfprotov5.Schema{Block: &tfprotov5.SchemaBlock{Attributes: []*tfprotov5.SchemaAttribute{attribute}}}
	echo := &tfprotov5.Function{
		Parameters: []*tfprotov5.FunctionParameter{{
			Name: "value", Type: tftypes.DynamicPseudoType, AllowNullValue: true, AllowUnknownValues: true,
		}},
		Return: &tfprotov5.FunctionReturn{Type: tftypes.DynamicPseudoType},
	}
	return &tfprotov5.GetProviderSchemaResponse{
		Provider:          &tfprotov5.Schema{Block: &tfprotov5.SchemaBlock{}},
		ResourceSchemas:   map[string]*tfprotov5.Schema{"echo_value": schema},
		DataSourceSchemas: map[string]*tfprotov5.Schema{"echo_value": schema},
		Functions:         map[string]*tfprotov5.Function{"echo": echo},
		ServerCapabilities: &tfprotov5.ServerCapabilities{
			GetProviderSchemaOptional: true,
		},
	}, nil
}

func (provider) GetResourceIdentitySchemas(context.Context, *tfprotov5.GetResourceIdentitySchemasRequest) (*tfprotov5.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov5.GetResourceIdentitySchemasResponse{}, nil
}

func (provider) PrepareProviderConfig(_ context.Context, request *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (provider) ConfigureProvider(context.Context, *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	return &tfprotov5.ConfigureProviderResponse{}, nil
}

func (provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func (provider) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (provider) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (provider) UpgradeResourceState(_ context.Context, request *tfprotov5.UpgradeResourceStateRequest) (*tfprotov5.UpgradeResourceStateResponse, error) {
	state, err := again(&tfprotov5.DynamicValue{JSON: request.RawState.JSON}, value)
	return &tfprotov5.UpgradeResourceStateResponse{UpgradedState: state}, err
}

func (provider) ReadResource(_ context.Context, request *tfprotov5.ReadResourceRequest) (*tfprotov5.ReadResourceResponse, error) {
	state, err := again(request.CurrentState, value)
	return &tfprotov5.ReadResourceResponse{NewState: state, Private: request.Private}, err
}

func (provider) PlanResourceChange(_ context.Context, request *tfprotov5.PlanResourceChangeRequest) (*tfprotov5.PlanResourceChangeResponse, error) {
	state, err := again(request.ProposedNewState, value)
	return &tfprotov5.PlanResourceChangeResponse{PlannedState: state, PlannedPrivate: request.PriorPrivate}, err
}

func (provider) ApplyResourceChange(_ context.Context, request *tfprotov5.ApplyResourceChangeRequest) (*tfprotov5.ApplyResourceChangeResponse, error) {
	state, err := again(request.PlannedState, value)
	return &tfprotov5.ApplyResourceChangeResponse{NewState: state, Private: request.PlannedPrivate}, err
}

func (provider) ReadDataSource(_ context.Context, request *tfprotov5.ReadDataSourceRequest) (*tfprotov5.ReadDataSourceResponse, error) {
	state, err := again(request.Config, value)
	return &tfprotov5.ReadDataSourceResponse{State: state}, err
}

func (provider) CallFunction(_ context.Context, request *tfprotov5.CallFunctionRequest) (*tfprotov5.CallFunctionResponse, error) {
	notation, wantsJSON := strings.CutPrefix(request.Name, "json:")
	of := cty.DynamicPseudoType
	if notation != "echo" {
		found, err := ctyjson.UnmarshalType([]byte(notation))
		if err != nil {
			return nil, err
		}
		of = found
	}
	encode := again
	if wantsJSON {
		encode = inJSON
	}
	result, err := encode(request.Arguments[0], of)
	return &tfprotov5.CallFunctionResponse{Result: result}, err
}

func main() {
	err := tf5server.Serve("ferrule.example/echo/echo", func() tfprotov5.ProviderServer { return provider{} })
	if err != nil {
		log.Fatal(err)
	}
}
