package envoyrig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Admin is its admin address, host:port.
func (e *Envoy) Admin() string { return e.admin }

func (e *Envoy) ask(ctx context.Context, method, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+e.admin+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	return resp.StatusCode, body, err
}

// Get is what the admin address says at a path.
func (e *Envoy) Get(ctx context.Context, path string) ([]byte, error) {
	status, body, err := e.ask(ctx, http.MethodGet, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	if err != nil {
		return nil, fmt.Errorf("ask envoy for %s: %w", path, err)
	}
	return body, nil
}

// ConfigDump is all that it is configured with right now, endpoints too.
func (e *Envoy) ConfigDump(ctx context.Context) ([]byte, error) {
	return e.Get(ctx, "/config_dump?include_eds")
}

// Stats are its counters and gauges whose names begin with a prefix.
func (e *Envoy) Stats(ctx context.Context, prefix string) (map[string]int64, error) {
	raw, err := e.Get(ctx, "/stats")
	if err != nil {
		return nil, err
	}
	stats := map[string]int64{}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err == nil && strings.HasPrefix(name, prefix) { // what is no number is a histogram, or a text
			stats[name] = n
		}
	}
	return stats, nil
}

// Listeners are the addresses it listens on, by the listeners' names.
func (e *Envoy) Listeners(ctx context.Context) (map[string]string, error) {
	raw, err := e.Get(ctx, "/listeners?format=json")
	if err != nil {
		return nil, err
	}
	var said struct {
		Statuses []struct {
			Name    string
			Address struct {
				Socket struct {
					Address string
					Port    int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, fmt.Errorf("read envoy's listeners: %w", err)
	}
	addresses := map[string]string{}
	for _, l := range said.Statuses {
		addresses[l.Name] = net.JoinHostPort(l.Address.Socket.Address, strconv.Itoa(l.Address.Socket.Port))
	}
	return addresses, nil
}
