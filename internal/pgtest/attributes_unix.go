//go:build unix && !linux

package pgtest

import "syscall"

// attributes drop root where needed. Without Linux's parent-death signal the
// guard alone ends the child when we are gone.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.other {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

func ignoreParentDeath(*syscall.SysProcAttr) {}

const sigStop = syscall.SIGSTOP
