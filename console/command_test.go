package console_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nabat/console"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
	"nabat/dispatch/postgres/pgtest"
)

func (r *room) do(token string, c console.Command) console.Result {
	r.t.Helper()
	var res console.Result
	require.Equal(r.t, http.StatusOK, r.ask(http.MethodPost, "/api/v1/commands", bearer(token), c, &res).StatusCode)
	require.Equal(r.t, c.ID, res.ID)
	require.Equal(r.t, res.OK, res.Error == nil)
	return res
}

func TestTheSmallForm(t *testing.T) {
	t.Parallel()
	r := open(t)
	operator, supervisor, fire := r.token("operator"), r.token("supervisor"), r.token("duty:fire")
	id := r.draft()

	save := command(console.KindSave, id)
	save.Form = &console.Form{Place: new("Литейный пр., 4")}
	res := r.do(operator, save)
	require.True(t, res.OK)
	require.Equal(t, dispatch.Draft, res.Incident.State)
	require.Equal(t, "Литейный пр., 4", res.Incident.Place)
	require.Empty(t, res.Incident.Assignments, "a draft is never routed")

	send := command(console.KindSend, id)
	send.Form = &console.Form{Type: new(dispatch.TypeFire), Place: new("Литейный пр., 4"), Description: new("дым")}
	res = r.do(operator, send)
	require.True(t, res.OK)
	require.Equal(t, dispatch.Dispatched, res.Incident.State)
	require.Equal(t, "пожар", res.Incident.Assignments[0].Why)

	reply := command(console.KindReply, id)
	reply.Status, reply.OrderNumber = dispatch.Accepted, "Н-12"
	res = r.do(fire, reply)
	require.True(t, res.OK)
	require.Equal(t, dispatch.UnderWay, res.Incident.State)
	require.Equal(t, "Н-12", res.Incident.Assignments[0].OrderNumber)
	reply = command(console.KindReply, id)
	reply.Status = dispatch.WorkRefused
	res = r.do(fire, reply)
	require.Equal(t, "comment", res.Error.Field)
	require.Contains(t, res.Error.RU, "причина")
	reply.ID, reply.Status = uuid.NewString(), dispatch.Completed
	require.True(t, r.do(fire, reply).OK)

	done := command(console.KindClose, id)
	done.Reason = "отработано"
	require.Equal(t, "forbidden", r.do(operator, done).Error.Code)
	res = r.do(supervisor, done)
	require.True(t, res.OK)
	require.Equal(t, dispatch.Closed, res.Incident.State)
	require.Nil(t, res.Error)

	other := r.draft()
	without := command(console.KindCloseWithoutResponse, other)
	without.Reason = "because"
	require.Equal(t, "reason", r.do(operator, without).Error.Field)
	without.Reason = string(dispatch.NoResponseTest)
	require.True(t, r.do(operator, without).OK)
	events := r.events(other)
	require.Equal(t, dispatch.EventClosed, events[len(events)-1].Kind)
	require.Contains(t, string(events[len(events)-1].Actor), "operator:token:")

	cancel := command(console.KindCancel, r.sent(dispatch.TypeFire))
	cancel.Reason = "ложный вызов"
	res = r.do(supervisor, cancel)
	require.True(t, res.OK)
	require.Equal(t, dispatch.Cancelled, res.Incident.State)
	require.Equal(t, dispatch.CancelledA, res.Incident.Assignments[0].State)
}

// Two people at one draft: fields that only one of them touched survive, a field
// that both touched is refused to the later one, who gets the card to choose by.
func TestTwoPeopleAtOneDraft(t *testing.T) {
	t.Parallel()
	r := open(t)
	anna, boris := r.token("operator"), r.token("operator")
	id := r.draft()
	save := func(f console.Form) console.Command {
		c := command(console.KindSave, id)
		c.Form = &f
		return c
	}
	// Boris was away while Anna filled in the place; he knows of none.
	require.True(t, r.do(anna, save(console.Form{Place: new("Литейный пр., 4"), Base: &console.Base{Place: new("")}})).OK)
	res := r.do(boris, save(console.Form{Description: new("дым"), Base: &console.Base{Description: new("")}}))
	require.True(t, res.OK)
	require.Equal(t, "Литейный пр., 4", res.Incident.Place)
	require.Equal(t, "дым", res.Incident.Description)

	// The same field: refused whole, and the later one sees the card.
	late := save(console.Form{
		Type: new(dispatch.TypeFire), Place: new("Садовая ул., 2"), Base: &console.Base{Type: new(dispatch.Type("")), Place: new("")},
	})
	res = r.do(boris, late)
	require.NotNil(t, res.Error)
	require.Equal(t, "conflict", res.Error.Code)
	require.Equal(t, "place", res.Error.Field)
	require.Contains(t, res.Error.RU, "другой оператор")
	require.Contains(t, res.Error.EN, "Somebody else")
	require.Equal(t, "Литейный пр., 4", res.Incident.Place)
	require.Empty(t, res.Incident.Type, "nothing of it was applied")
	require.Equal(t, "place", r.do(boris, late).Error.Field, "and a resend is answered the same")

	// Having chosen, he says what he saw. A machine gives no base and is obeyed.
	require.True(t, r.do(boris, save(console.Form{Place: new("Садовая ул., 2"), Base: &console.Base{Place: new("Литейный пр., 4 ")}})).OK)
	require.True(t, r.do(anna, save(console.Form{Type: new(dispatch.TypeFire)})).OK)

	// A send holds only what changes too, and need not hold anything.
	stale := command(console.KindSend, id)
	stale.Form = &console.Form{Place: new("Невский пр., 1"), Base: &console.Base{Place: new("Литейный пр., 4")}}
	require.Equal(t, "place", r.do(anna, stale).Error.Field)
	res = r.do(anna, command(console.KindSend, id))
	require.True(t, res.OK)
	require.Equal(t, dispatch.Dispatched, res.Incident.State)
	require.Equal(t, "Садовая ул., 2", res.Incident.Place)
	require.Equal(t, "дым", res.Incident.Description)
	require.True(t, r.do(anna, command(console.KindSend, id)).OK, "nothing to change is no fault")

	bare := command(console.KindSend, r.draft())
	require.Equal(t, "type", r.do(anna, bare).Error.Field, "the card has no type yet")
	bare.ID, bare.Form = uuid.NewString(), &console.Form{Type: new(dispatch.TypeFire)}
	require.Equal(t, "place", r.do(anna, bare).Error.Field)
}

func TestHangUp(t *testing.T) {
	t.Parallel()
	r := open(t)
	c := r.call(r.clock.now())
	operator := r.token("operator")
	require.True(t, r.do(operator, command(console.KindHangUp, c.Incident)).OK)
	require.Equal(t, []dispatch.ContactID{c.ID}, r.hungUp.ids)
	require.NoError(t, r.house.Progress(t.Context(), dispatch.Progress{
		ID: c.ID, Incident: c.Incident, State: dispatch.ContactEnded, At: r.clock.now(), Reason: dispatch.EndOperator,
	}, "operator:x"))
	require.True(t, r.do(operator, command(console.KindHangUp, c.Incident)).OK, "it has ended: nothing to do")
	require.Len(t, r.hungUp.ids, 1)
	// Sending the form leaves the talk alone.
	live := r.call(r.clock.now())
	send := command(console.KindSend, live.Incident)
	send.Form = &console.Form{Type: new(dispatch.TypeFire), Place: new("тут")}
	require.True(t, r.do(operator, send).OK)
	require.Len(t, r.hungUp.ids, 1)

	without := open(t, func(o *console.Options) { o.HangUp = nil })
	res := without.do(without.token("operator"), command(console.KindHangUp, without.draft()))
	require.Equal(t, "unavailable", res.Error.Code)
}

func TestCommandsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := open(t)
	id := r.sent(dispatch.TypeFire)
	with := func(kind console.Kind, change func(*console.Command)) console.Command {
		c := command(kind, id)
		if change != nil {
			change(&c)
		}
		return c
	}
	form := func(c *console.Command) { c.Form = &console.Form{Type: new(dispatch.TypeFire), Place: new("там")} }
	reason := func(c *console.Command) { c.Reason = "причина" }
	accept := func(s dispatch.Service) func(*console.Command) {
		return func(c *console.Command) { c.Status, c.Service = dispatch.Accepted, s }
	}
	nowhere := func(c *console.Command) { form(c); c.Incident = uuid.NewString() }
	before := len(r.events(id))
	for _, c := range []struct {
		role string
		cmd  console.Command
		code string
	}{
		{"duty:fire", with(console.KindSend, form), "forbidden"},
		{"duty:fire", with(console.KindCancel, reason), "forbidden"},
		{"duty:fire", with(console.KindReply, accept(dispatch.Police)), "forbidden"},
		{"duty:gas", with(console.KindReply, accept("")), "not_found"},
		{"operator", with(console.KindReply, accept(dispatch.Fire)), "forbidden"},
		{"operator", with(console.KindClose, reason), "forbidden"},
		{"operator", with(console.KindSave, form), "conflict"},
		{"operator", with(console.KindSave, nil), "invalid"},
		{"operator", with(console.KindSend, nowhere), "not_found"},
		{"operator", with(console.KindSend, func(c *console.Command) { form(c); c.Form.Place = new("a\x00b") }), "invalid"},
		{"operator", with(console.KindSend, func(c *console.Command) { form(c); c.Form.Type = new(dispatch.Type("earthquake")) }), "invalid"},
		{"supervisor", with(console.KindReply, accept(dispatch.Police)), "not_found"},
		{"supervisor", with(console.KindReply, accept("")), "invalid"},
		{"supervisor", with(console.KindReply, func(c *console.Command) { accept(dispatch.Fire)(c); c.Status = "flying" }), "invalid"},
		{"supervisor", with(console.KindReply, func(c *console.Command) { accept(dispatch.Fire)(c); c.Status = dispatch.Published }), "invalid"},
		{"supervisor", with(console.KindClose, reason), "conflict"},
		{"supervisor", with(console.KindCancel, func(c *console.Command) { c.Reason = " " }), "invalid"},
		{"auditor", with(console.KindSend, form), "forbidden"},
		{"admin", with(console.KindCancel, reason), "forbidden"},
	} {
		res := r.do(r.token(c.role), c.cmd)
		require.NotNil(t, res.Error, "%s %s", c.role, c.cmd.Kind)
		require.Equal(t, c.code, res.Error.Code, "%s %s: %s", c.role, c.cmd.Kind, res.Error.EN)
		require.NotEmpty(t, res.Error.RU)
		require.NotEmpty(t, res.Error.EN)
	}
	require.Len(t, r.events(id), before, "nothing was changed")
	// What the API's schema refuses never becomes a command.
	h := bearer(r.token("operator"))
	for _, body := range []map[string]any{
		{"id": "1", "kind": "save", "incident": id.String()},
		{"id": uuid.NewString(), "kind": "explode", "incident": id.String()},
		{"id": uuid.NewString(), "kind": "save", "incident": id.String(), "extra": 1},
		{"kind": "save", "incident": id.String()},
	} {
		require.Equal(t, http.StatusUnprocessableEntity, r.ask(http.MethodPost, "/api/v1/commands", h, body, nil).StatusCode)
	}
}

// A resend has no second effect and the same answer, even when the card has
// moved on; two sendings that race have one effect.
func TestAResentCommandHasOneEffect(t *testing.T) {
	t.Parallel()
	r := open(t)
	operator, supervisor := r.token("operator"), r.token("supervisor")
	id := r.draft()
	send := command(console.KindSend, id)
	send.Form = &console.Form{Type: new(dispatch.TypeFire), Place: new("там")}

	var all sync.WaitGroup
	results := make(chan console.Result, 8)
	for range cap(results) {
		all.Go(func() { results <- r.do(operator, send) })
	}
	all.Wait()
	close(results)
	for res := range results {
		require.True(t, res.OK, "%v", res.Error)
	}
	registered := 0
	for _, e := range r.events(id) {
		if e.Kind == dispatch.EventRegistered {
			registered++
		}
	}
	require.Equal(t, 1, registered)

	save := command(console.KindSave, id)
	save.Form = send.Form
	refused := r.do(operator, save)
	require.Equal(t, "conflict", refused.Error.Code)
	cancel := command(console.KindCancel, id)
	cancel.Reason = "ошибка"
	require.True(t, r.do(supervisor, cancel).OK)
	n := len(r.events(id))
	again := r.do(operator, send)
	require.True(t, again.OK, "it was carried out once, and that is still the answer")
	require.Equal(t, dispatch.Cancelled, again.Incident.State, "the card is shown as it stands now")
	require.Equal(t, refused.Error, r.do(operator, save).Error)
	require.Len(t, r.events(id), n)

	// The same id of somebody else is another command.
	stranger := send
	stranger.Incident = r.draft().String()
	require.True(t, r.do(r.token("operator"), stranger).OK)

	// A UUID may be written in several ways.
	other := command(console.KindCloseWithoutResponse, r.draft())
	other.Reason = string(dispatch.NoResponseTest)
	other.Incident = strings.ReplaceAll(strings.ToUpper(other.Incident), "-", "")
	for range 2 {
		res := r.do(r.token("operator"), other)
		require.True(t, res.OK, res.Error)
	}

	// Nothing of the card's text is kept with the command.
	var text string
	require.NoError(t, r.pool.QueryRow(t.Context(), `SELECT string_agg(result, ' ') FROM commands`).Scan(&text))
	require.NotContains(t, text, "там")
}

// Two different commands with one id race: one has its effect, both hear of it.
func TestOneIDIsOneCommand(t *testing.T) {
	t.Parallel()
	r := open(t)
	operator := r.token("operator")
	for range 10 {
		a, b := r.draft(), r.draft()
		first := command(console.KindCloseWithoutResponse, a)
		first.Reason = string(dispatch.NoResponseTest)
		second := first
		second.Incident = b.String()
		var both sync.WaitGroup
		var one, two console.Result
		both.Go(func() { one = r.do(operator, first) })
		both.Go(func() { two = r.do(operator, second) })
		both.Wait()
		require.NotEqual(t, one.OK, two.OK, "whoever used the id first has it: %v, %v", one.Error, two.Error)
		require.Equal(t, 3, len(r.events(a))+len(r.events(b)), "one of the two cards was closed")
	}
}

// While PostgreSQL lets nobody in, as when it starts again after a crash, a
// command and a login wait for it instead of failing.
func TestCommandsWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	r := open(t)
	r.account("ivanov", "operator")
	token, card := r.token("operator"), r.draft()
	admin, err := postgres.Open(t.Context(), pgtest.Admin(t, r.pool.Config().ConnString()), postgres.PoolOptions{MaxConns: 1})
	require.NoError(t, err)
	defer admin.Close()
	// Two transactions: until the first is over, others may still come in.
	_, err = admin.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$`)
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	require.NoError(t, err)

	commanded, loggedIn := make(chan console.Result, 1), make(chan int, 1)
	place := "Невский пр., 1"
	go func() {
		commanded <- r.do(token, console.Command{ID: uuid.NewString(), Kind: console.KindSave, Incident: card.String(), Form: &console.Form{Place: &place}})
	}()
	go func() {
		loggedIn <- r.ask(http.MethodPost, "/api/v1/login", header{"Origin": r.http.URL},
			map[string]string{"login": "ivanov", "password": password}, nil).StatusCode
	}()
	select {
	case res := <-commanded:
		t.Fatal("a command did not wait", res.Error)
	case code := <-loggedIn:
		t.Fatal("a login did not wait", code)
	case <-time.After(500 * time.Millisecond): // the time that the database is away
	}
	_, err = admin.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT -1', current_database()); END $$`)
	require.NoError(t, err)
	res := <-commanded
	require.Nil(t, res.Error)
	require.Equal(t, http.StatusOK, <-loggedIn)
	cards, err := r.house.Cards(t.Context(), []dispatch.IncidentID{card})
	require.NoError(t, err)
	require.Equal(t, place, cards[0].Place)
}
