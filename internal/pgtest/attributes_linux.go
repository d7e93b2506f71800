package pgtest

import "syscall"

// attributes drop root where needed and tie the child's life to ours: SIGQUIT
// is PostgreSQL's and PgBouncer's immediate shutdown, which unlike SIGKILL
// leaves no shared memory behind. The kernel sends it when the *thread* that
// forked ends, so the caller keeps that thread: see [startChild].
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGQUIT}
	if a.other {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// ignoreParentDeath lets a guard outlive us: that is what it is for.
func ignoreParentDeath(attr *syscall.SysProcAttr) { attr.Pdeathsig = 0 }

const sigStop = syscall.SIGSTOP
