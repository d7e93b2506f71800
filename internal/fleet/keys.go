package fleet

import (
	"hash/fnv"
	"time"
)

// DefaultKeySpace is the first byte of every advisory lock this package takes.
const DefaultKeySpace = 0xDB

// A kind says what an advisory lock of the fleet stands for, and with that
// what its second integer means.
type kind uint32

const (
	kindToken   kind = 1 // the right to one session; the token's number
	kindMember  kind = 2 // this session belongs to an enforcing replica; the replica's id
	kindDemand  kind = 3 // how many sessions a replica could use; see demandValue
	kindPart    kind = 4 // the service's part of the server; connections
	kindWatcher kind = 5 // a replica that only watches (DB_FLEET=warn); the replica's id
	kindAlarm   kind = 6 // somebody lacks something; a turn of the server's clock, see alarmTurn
	kindClaim   kind = 7 // a session is counting tokens to claim some; 0
)

// Keys is the part of the server's advisory locks that one service uses: the
// two-integer form (pg_locks.objsubid = 2), whose first integer is one byte of
// key space, four bits of kind and twenty bits of hash of the service's name.
// With the default space these are the integers -620756992 (0xDB000000) to
// -603979777 (0xDBFFFFFF); an application keeps its own locks outside of them.
type Keys struct {
	space   byte
	service uint32
}

// NewKeys returns the keys of a service. Two services of one database whose
// names share a hash (one in a million) share a budget, which is safe.
func NewKeys(space byte, service string) Keys {
	h := fnv.New32a()
	h.Write([]byte(service))
	return Keys{space: space, service: h.Sum32() >> 12}
}

// class is the first integer as pg_locks shows it; int32(class) is what the
// lock functions take.
func (k Keys) class(of kind) uint32 {
	return uint32(k.space)<<24 | uint32(of)<<20 | k.service
}

// alarmTurn is how long an alarm lasts by the server's clock. Its lock's second
// integer is the number of the turn, so that an alarm ends by itself although the
// session that raised it may be busy. It is raised for the present turn and the next.
const alarmTurn = 4 * time.Second

// bounds are the first and last class of the whole key space, all services.
func (k Keys) bounds() (low, high uint32) {
	low = uint32(k.space) << 24
	return low, low | 0xFFFFFF
}

const kindMask = 0xF << 20

func kindOf(class uint32) kind      { return kind(class & kindMask >> 20) }
func serviceOf(class uint32) uint32 { return class & 0xFFFFF }

// A replica's demand is published as a lock too, so that nothing outlives the
// session that said it. The session that said it last may be busy when there is
// news, so another one says the news and the number of the saying decides:
// twenty bits of it, compared as serial numbers are (RFC 1982), and twelve of demand.
const (
	demandBits = 12
	maxDemand  = 1<<demandBits - 1
	serialMask = 1<<20 - 1
)

func demandValue(serial uint32, demand int) uint32 {
	return serial&serialMask<<demandBits | uint32(min(max(demand, 0), maxDemand))
}

func demandOf(value uint32) int { return int(value & maxDemand) }

// newer reports whether value a was published after value b by the same replica.
func newer(a, b uint32) bool {
	ahead := (a>>demandBits - b>>demandBits) & serialMask
	return ahead != 0 && ahead < serialMask/2
}
