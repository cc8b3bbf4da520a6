// A notifier of SPIRE, on its SDK: whoever is told of a new bundle emits a metric through the host's own service.
package main

import (
	"context"
	"errors"

	"github.com/spiffe/spire-plugin-sdk/pluginmain"
	"github.com/spiffe/spire-plugin-sdk/pluginsdk"
	metricsv1 "github.com/spiffe/spire-plugin-sdk/proto/spire/hostservice/common/metrics/v1"
	notifierv1 "github.com/spiffe/spire-plugin-sdk/proto/spire/plugin/server/notifier/v1"
)

type notifier struct {
	notifierv1.UnimplementedNotifierServer
	metrics metricsv1.MetricsServiceClient
}

// BrokerHostServices is called by Init, with a connection to the host's services.
func (n *notifier) BrokerHostServices(broker pluginsdk.ServiceBroker) error {
	if !broker.BrokerClient(&n.metrics) {
		return errors.New("the host offers no metrics")
	}
	return nil
}

func (n *notifier) Notify(ctx context.Context, request *notifierv1.NotifyRequest) (*notifierv1.NotifyResponse, error) {
	domain := request.GetBundleUpdated().GetBundle().GetTrustDomain()
	if _, err := n.metrics.EmitKey(ctx, &metricsv1.EmitKeyRequest{Key: []string{"bundle", domain}, Val: 1}); err != nil {
		return nil, err
	}
	return &notifierv1.NotifyResponse{}, nil
}

func main() {
	pluginmain.Serve(notifierv1.NotifierPluginServer(&notifier{}))
}
