#include "textflag.h"

// func callers(skip int, pcs []uintptr) int
//
// A frame begins with its caller's frame pointer and the return address. The
// chain ends where a pointer does not lead further up on this goroutine's own
// stack: at the goroutine's first function, or where C code called into Go and
// left in the register whatever it liked. No other memory is ever read.
//
// The goroutine cannot be preempted in here, nor its stack be moved: assembly
// has no safe points.
TEXT ·callers(SB), NOSPLIT|NOFRAME, $0-40
	MOVQ (TLS), R8
	MOVQ 8(R8), R8            // g.stack.hi
	SUBQ $16, R8              // the last place for a frame
	MOVQ skip+0(FP), CX
	MOVQ pcs_base+8(FP), DI
	MOVQ pcs_len+16(FP), DX
	XORQ AX, AX               // how many there were
	MOVQ SP, R9               // below every frame
	MOVQ BP, BX

next:
	CMPQ BX, R9
	JLS  done
	CMPQ BX, R8
	JHI  done
	CMPQ AX, DX
	JGE  done
	DECQ CX
	JGE  up
	MOVQ 8(BX), R10
	MOVQ R10, (DI)(AX*8)
	INCQ AX

up:
	MOVQ BX, R9
	MOVQ (BX), BX
	JMP  next

done:
	MOVQ AX, ret+32(FP)
	RET
