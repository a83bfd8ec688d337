// Package follow reads a provider's answer as it passes by: what it used, how
// much of it was seen, and where it ends.
//
// An Answer is pushed: bytes go in as they come, and what may go on comes out,
// each byte as it was. It does no I/O and starts no goroutine, so that a proxy's
// relay loop and a gateway's body callbacks can use the same one:
//
//	a := follow.New(asked, status, contentType, contentEncoding)
//	for {
//		n, err := from.Read(buf)
//		to.Write(a.Write(buf[:n]))
//		if err == io.EOF {
//			a.EOF()
//		}
//		if a.Ended() {
//			settle(a)
//			to.Write(a.Release())
//		}
//		if err != nil {
//			break
//		}
//	}
//	settle(a) // if it was not: the answer broke off
//	to.Write(a.Release())
//
// Two things are not passed on as they come. The end (a stream's last event, a
// document's last byte) is held back until the caller has settled, because a
// client that has seen the end may be gone. And a usage chunk that the client did
// not ask for is left out.
//
// A server that says usage behind its end mark says it after the settlement. It is
// read and left out all the same: whoever settled without figures and has them at
// the end may settle again.
//
// Where guards are asked for (guard.go), they read the answer's texts as they come and
// say what of them is shown. Then an event or a document waits until it is whole, and
// what cannot be read is shown to nobody.
//
// It refuses to guess. What cannot be read passes unread, and then its usage is
// unknown, never zero. It keeps no body: one event of at most 256 KiB, and the
// figures. Prices, rules and what a broken answer costs are its caller's.
//
// Open follow.go first, then event.go (what an event means), lines.go (where one
// begins and ends) and scan.go (what is read of its JSON). For guards: guarded.go (one
// event or document), members.go and pieces.go (where its texts are), strands.go
// (texts that come in pieces), cut.go (how an answer ends that was stopped) and
// guarding.go (the way there).
package follow
