package pgdriver

import (
	"fmt"
	"runtime/debug"

	"github.com/dbpool-go/dbpool/internal/connstate"
)

// PanicError is a panic on its way out of database/sql.
type PanicError struct {
	Value any
	stack []byte
}

// NewPanicError returns the error of a panic with this value, where it is recovered.
func NewPanicError(value any) *PanicError { return &PanicError{Value: value, stack: debug.Stack()} }

// Error says what the panic said, and where it was.
func (e *PanicError) Error() string {
	return fmt.Sprintf("pool: panic in a driver call: %v\n%s", e.Value, e.stack)
}

// shield turns a panic of a driver call into a PanicError. database/sql would
// give back neither the connection nor the locks of a call that panics: the pool,
// or the transaction, would be stuck.
func (c *Conn) shield(call func() error) (err error) {
	finished := false
	defer func() {
		if !finished {
			err = NewPanicError(recover())
			c.abandon()
		}
	}()
	err = call()
	finished = true
	return err
}

// guard gives the connection up when a call panics, in a driver.Valuer say, and
// lets the panic go on: where database/sql gives back what the call held, or has
// no part in it.
func (c *Conn) guard(call func() error) error {
	finished := false
	defer func() {
		if !finished {
			c.abandon()
		}
	}()
	err := call()
	finished = true
	return err
}

// abandon gives the connection up when a driver call panicked, in a
// driver.Valuer say, or in what WithDialFunc returned.
func (c *Conn) abandon() {
	c.watch.end()
	c.exchange.end()
	c.discard(connstate.CloseUnclean)
	c.becomes(connstate.ActivityRunning, connstate.ActivityIdle) // its holder may never give it back
}
