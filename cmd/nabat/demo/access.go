package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"nabat/console"
	"nabat/dispatch"
)

// AccessFile is where the demo keeps its users, passwords and token, mode 0600.
const AccessFile = "demo-access.json"

// User is one login of the demo.
type User struct {
	Login    string `json:"login"`
	Name     string `json:"name"`
	Role     string `json:"role"` // operator, duty:fire, …
	Password string `json:"password"`
	// Simulated says that one of the demo's own robots uses the login.
	Simulated bool `json:"simulated,omitempty"`
}

// Access is what a newcomer needs to come in.
type Access struct {
	Console string `json:"console"`
	Users   []User `json:"users"`
	// Token is a bearer token of an auditor: it reads everything.
	Token string `json:"token"`
}

// Role finds the first login of a role that a person may use.
func (a Access) Role(role string) (User, bool) {
	for _, u := range a.Users {
		if u.Role == role && !u.Simulated {
			return u, true
		}
	}
	return User{}, false
}

// Simulated lists the robots' logins of a role.
func (a Access) Simulated(role string) []User {
	var out []User
	for _, u := range a.Users {
		if u.Role == role && u.Simulated {
			out = append(out, u)
		}
	}
	return out
}

// people are the demo's staff; passwords are made afresh for each data directory.
func people() []User {
	return []User{
		{Login: "operator", Name: "Анна Смирнова", Role: "operator"},
		{Login: "fire", Name: "Игорь Пожарский", Role: "duty:fire"},
		{Login: "police", Name: "Павел Лебедев", Role: "duty:police"},
		{Login: "gas", Name: "Ольга Газманова", Role: "duty:gas"},
		{Login: "medical", Name: "Вера Лаврова", Role: "duty:medical"},
		{Login: "chief", Name: "Нина Орлова", Role: "supervisor"},
		{Login: "admin", Name: "Роман Ключников", Role: "admin"},
		{Login: "auditor", Name: "Лев Счетоводов", Role: "auditor"},
		{Login: "operator1", Name: "Робот-оператор 1", Role: "operator", Simulated: true},
		{Login: "operator2", Name: "Робот-оператор 2", Role: "operator", Simulated: true},
		{Login: "operator3", Name: "Робот-оператор 3", Role: "operator", Simulated: true},
		{Login: "supervisor", Name: "Робот-старший смены", Role: "supervisor", Simulated: true},
	}
}

// tokenName is the demo's token in the registry of tokens.
const tokenName = "demo"

// grant makes the logins and the token, or reads those that were made before.
func grant(ctx context.Context, r console.Registry, data string, now time.Time) (Access, error) {
	path := filepath.Join(data, AccessFile)
	var a Access
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &a); err != nil {
			return a, fmt.Errorf("%s: %w", path, err)
		}
	case errors.Is(err, fs.ErrNotExist):
		a.Users = people()
		for i := range a.Users {
			a.Users[i].Password = rand.Text()[:12]
		}
	default:
		return a, err
	}
	for _, u := range a.Users {
		err := console.CreateAccount(ctx, r, u.Login, u.Name, u.Role, u.Password, now)
		if err != nil && !errors.Is(err, dispatch.ErrDuplicate) {
			return a, fmt.Errorf("login %s: %w", u.Login, err)
		}
		if errors.Is(err, dispatch.ErrDuplicate) && text == nil {
			// The file was lost or an earlier start died before writing it.
			if err := console.SetPassword(ctx, r, u.Login, u.Password); err != nil {
				return a, fmt.Errorf("login %s: %w", u.Login, err)
			}
		}
	}
	if a.Token == "" {
		name := fmt.Sprintf("%s-%d", tokenName, now.Unix())
		if a.Token, err = console.CreateToken(ctx, r, name, "auditor", 0, now); err != nil {
			return a, fmt.Errorf("token: %w", err)
		}
	}
	return a, a.Write(data)
}
