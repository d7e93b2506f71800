//go:build !unix

package pgtest

import "syscall"

func (a account) attributes() *syscall.SysProcAttr { return nil }

func ignoreParentDeath(*syscall.SysProcAttr) {}

const sigStop = syscall.SIGKILL
