package embedded

import (
	"context"
	"errors"
	"log/slog"
)

// Config says where the engine lives.
type Config struct {
	Dir        string   // of the database; made if missing
	EnginePath string   // hint where libchdb.so is: a file or a folder; empty: look for it
	Exe        string   // this program; empty: os.Executable()
	Args       []string // before the engine's flags; default "engine", "serve"
}

// Engine is the supervised child process.
type Engine struct{}

var errTODO = errors.New("embedded: not built yet")

// Start begins supervising. A missing library is not an error of Start: Err says
// so until it appears.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (*Engine, error) { return nil, errTODO }

// DSN is how analytics.Open reaches the engine; it stays the same over restarts
// of the child.
func (e *Engine) DSN() string { return "" }

// Err says why the engine does not answer; nil while it does.
func (e *Engine) Err() error { return errTODO }

// WaitReady returns when the engine answers.
func (e *Engine) WaitReady(ctx context.Context) error { return errTODO }

// Close stops the child and waits for it.
func (e *Engine) Close() error { return errTODO }

// Serve is the child's main, behind `signalbox engine serve`.
func Serve(ctx context.Context, args []string) error { return errTODO }
