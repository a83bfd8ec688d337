// Command serve runs the provider that is not one on a port, for documents and for
// clients in other languages:
//
//	go run ./integration/upstream/serve -listen 127.0.0.1:9099 -credential "Bearer sk-provider"
//
// It prints its address and serves until it is interrupted. GET /-/calls lists
// what it saw and billed, GET /-/totals sums it up, POST /-/reset forgets it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/signalbox-dev/signalbox/integration/upstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where to listen")
	credentials := map[string]bool{}
	flags.Func("credential", "a credential to accept, as the header says it (repeat for more; none: all)", func(s string) error {
		credentials[s] = true
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	server := &http.Server{Handler: routes(upstream.New(credentials)), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = server.Close() // streams in flight are cut: nobody waits for a simulation
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// routes is the provider, and beside it what it recorded.
func routes(p *upstream.Provider) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p)
	mux.HandleFunc("GET /-/calls", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.Calls()) })
	mux.HandleFunc("GET /-/totals", func(w http.ResponseWriter, _ *http.Request) {
		calls, input, output := p.Totals()
		answer(w, map[string]any{"calls": calls, "input_tokens": input, "output_tokens": output, "in_flight": p.InFlight(), "models": p.BilledByModel()})
	})
	mux.HandleFunc("POST /-/reset", func(w http.ResponseWriter, _ *http.Request) {
		p.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
