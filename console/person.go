package console

import (
	"fmt"
	"strings"
	"time"

	"nabat/dispatch"
)

// Role is what a person or a program may do here.
type Role string

// Roles. Duty officers belong to a service and are written «duty:<service>».
const (
	Operator   Role = "operator"
	Duty       Role = "duty"
	Supervisor Role = "supervisor"
	Admin      Role = "admin"
	Auditor    Role = "auditor"
)

// Roles lists every role.
func Roles() []Role { return []Role{Operator, Duty, Supervisor, Admin, Auditor} }

// ParseRole reads «operator», «duty:fire», ….
func ParseRole(s string) (Role, dispatch.Service, error) {
	role, service, has := strings.Cut(s, ":")
	for _, r := range Roles() {
		if role != string(r) {
			continue
		}
		if (r == Duty) != has || (has && !dispatch.Service(service).Valid()) {
			return "", "", fmt.Errorf("role %q: a duty officer's role is duty:<service>, others name no service", s)
		}
		return r, dispatch.Service(service), nil
	}
	return "", "", fmt.Errorf("role %q: known are operator, duty:<service>, supervisor, admin, auditor", s)
}

// Sum is the SHA-256 of a session's or a bearer token: what the database keeps.
type Sum [32]byte

// Person is who speaks: an operator by a session, or a program by a token.
type Person struct {
	Login   string // of an operator; a token's name
	Name    string
	Role    Role
	Service dispatch.Service // of a duty officer
	// Program is set for bearer tokens.
	Program bool
	// Key is the credential that was shown.
	Key Sum
	// Expires is when the credential ends by itself; zero: never.
	Expires time.Time
}

// Actor is how the journal names the person: «operator:ivanova», «duty:petrov»,
// and for a program its role and its token's name, «operator:token:city».
func (p Person) Actor() dispatch.Actor {
	if p.Program {
		return dispatch.Actor(string(p.Role) + ":token:" + p.Login)
	}
	return dispatch.Actor(string(p.Role) + ":" + p.Login)
}

// same tells that nothing changed that an open socket was admitted by.
func (p Person) same(q Person) bool {
	return p.Login == q.Login && p.Role == q.Role && p.Service == q.Service && p.Program == q.Program
}

// expired tells that the credential has ended.
func (p Person) expired(now time.Time) bool { return !p.Expires.IsZero() && !now.Before(p.Expires) }

// audience is a group of people who see the same: everything, or one service's
// projection.
type audience struct {
	service dispatch.Service
}

func (p Person) audience() audience {
	if p.Role == Duty {
		return audience{service: p.Service}
	}
	return audience{}
}

// sees tells whether a card is this audience's to see.
func (a audience) sees(c dispatch.Card) bool {
	if a.service == "" {
		return true
	}
	_, has := c.Assignment(a.service)
	return has
}

// Sees tells whether a card is the person's to see.
func (p Person) Sees(c dispatch.Card) bool { return p.audience().sees(c) }

// mayDo tells whether the role has the command at all.
func (p Person) mayDo(k Kind) bool {
	switch k {
	case KindSave, KindSend, KindCloseWithoutResponse, KindHangUp:
		return p.Role == Operator || p.Role == Supervisor
	case KindClose, KindCancel:
		return p.Role == Supervisor
	case KindReply:
		return p.Role == Duty || p.Role == Supervisor
	}
	return false
}
