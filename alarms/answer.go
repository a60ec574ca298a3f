package alarms

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"nabat/alarms/dc09"
)

// Answered is what became of one frame.
type Answered struct {
	Verdict Verdict
	// Known says that a registered panel stands behind the frame.
	Known bool
}

// letter is one frame of a batch.
type letter struct {
	env dc09.Message
	msg Message
	Answered
}

// lane is the letters of one account. A frame whose envelope names another
// account is a stranger's and has a lane of its own.
type lane struct {
	account  string
	linked   bool
	ms       []*Message
	verdicts []Verdict
	of       []int // the letters' places in the batch
}

// AnswerAll takes DC-09 frames that one sender sent one after another without
// waiting, and appends the replies in their order; done gets what became of each.
// It blocks until everything is committed. The frames of one account are taken in
// their order and share commits; accounts do not wait for each other.
func (r *Receiver) AnswerAll(ctx context.Context, fs []dc09.Frame, peer string, at time.Time, out []byte, done []Answered) ([]byte, []Answered) {
	if len(fs) == 1 {
		out, one := r.answer(ctx, fs[0], peer, at, out)
		return out, append(done, one)
	}
	letters := make([]letter, len(fs))
	var lanes []*lane
	for i, f := range fs {
		if r.read(&letters[i], f, peer, at) {
			lanes = put(lanes, i, &letters[i].msg)
		}
	}
	var others sync.WaitGroup
	for i, l := range lanes {
		if i == len(lanes)-1 {
			r.takeAll(ctx, l.ms, l.verdicts) // the last one, mostly the only one, on this goroutine
			continue
		}
		others.Go(func() { r.takeAll(ctx, l.ms, l.verdicts) })
	}
	others.Wait()
	for _, l := range lanes {
		for i, v := range l.verdicts {
			letters[l.of[i]].Verdict = v
		}
	}
	for i := range letters {
		out = dc09.AppendReply(out, letters[i].Verdict.Reply(), &letters[i].env, at)
		done = append(done, letters[i].Answered)
	}
	return out, done
}

// answer is AnswerAll for one frame.
func (r *Receiver) answer(ctx context.Context, f dc09.Frame, peer string, at time.Time, out []byte) ([]byte, Answered) {
	var l letter
	if r.read(&l, f, peer, at) {
		l.Verdict = r.Take(ctx, &l.msg)
	}
	return dc09.AppendReply(out, l.Verdict.Reply(), &l.env, at), l.Answered
}

// read says whether there is something to take; if not, the verdict is final.
func (r *Receiver) read(l *letter, f dc09.Frame, peer string, at time.Time) bool {
	l.env, l.msg, l.Verdict = Read(f, peer, at)
	if l.Verdict == 0 {
		_, known := r.registry.Panel(l.msg.Account)
		l.Known = known && l.msg.Link == ""
		return true
	}
	r.metrics.verdict[l.Verdict].Inc()
	r.refusals.Warn("frame not taken: "+l.Verdict.String(), zap.String("account", l.msg.Account),
		zap.String("token", l.env.Token), zap.String("peer", peer))
	return false
}

// put adds a message to the lane of its account.
func put(lanes []*lane, i int, m *Message) []*lane {
	linked := m.Link != ""
	for _, l := range lanes {
		if l.account == m.Account && l.linked == linked {
			l.ms, l.verdicts, l.of = append(l.ms, m), append(l.verdicts, 0), append(l.of, i)
			return lanes
		}
	}
	return append(lanes, &lane{account: m.Account, linked: linked, ms: []*Message{m}, verdicts: []Verdict{0}, of: []int{i}})
}
