package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"nabat/cmd/nabat/config"
	"nabat/console"
	consoledb "nabat/console/postgres"
	"nabat/dispatch"
	"nabat/routing"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"${cmd_token_create}"`
	Revoke tokenRevokeCmd `cmd:"" help:"${cmd_token_revoke}"`
}

type tokenCreateCmd struct {
	config.Base
	Role string        `required:"" placeholder:"ROLE" help:"${flag_role}"`
	Name string        `placeholder:"NAME" help:"${flag_token_new}"`
	Life time.Duration `default:"0" placeholder:"DURATION" help:"${flag_token_life}"`
}

// Run prints a fresh token, which is shown only this once.
func (c tokenCreateCmd) Run(ctx context.Context, t terminal) error {
	if err := checkService(t, c.Role); err != nil {
		return err
	}
	now, made := time.Now(), c.Name == ""
	if made {
		c.Name = madeName(now)
	}
	return withAccounts(ctx, c.Base, t, func(s *consoledb.Store) error {
		token, err := console.CreateToken(ctx, s, c.Name, c.Role, c.Life, now)
		if errors.Is(err, dispatch.ErrDuplicate) {
			return fmt.Errorf(t.say(
				"имя жетона «%[1]s» занято: возьмите другое (--name) или отзовите прежний (nabat token revoke %[1]s)",
				"a token named %[1]q exists: take another name (--name) or revoke that one (nabat token revoke %[1]s)"), c.Name)
		}
		if err != nil {
			return accountError(t, err)
		}
		if made { // revoking will ask for it; standard output is the token's alone
			fmt.Fprintln(t.err, t.say("имя жетона:", "the token's name:"), c.Name)
		}
		_, err = fmt.Fprintln(t.out, token)
		return err
	})
}

// madeName names a token whose maker did not care: when it was made, and
// something that two of one second differ in.
func madeName(now time.Time) string {
	return "cli-" + now.UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:6])
}

// checkService refuses a duty officer of a service that this city does not have:
// nothing would ever be sent there, and nobody would see why.
func checkService(t terminal, role string) error {
	// Another fault of the role is told where the account is made.
	_, service, _ := console.ParseRole(role)
	known := routing.DefaultVocabulary().Services
	if service == "" || slices.Contains(known, service) {
		return nil
	}
	names := make([]string, len(known))
	for i, s := range known {
		names[i] = string(s)
	}
	return fmt.Errorf(t.say("роль: службы «%s» нет; есть %s", "role: there is no service %q; there are %s"),
		service, strings.Join(names, ", "))
}

// accountError puts the refusal of a form's field into the user's language; the
// names of the fields become those of the command line.
func accountError(t terminal, err error) error {
	field, ok := errors.AsType[*dispatch.FieldError](err)
	if !ok || t.lang == config.LangEnglish {
		return err
	}
	switch field.Field {
	case "role":
		return errors.New("роль: бывает operator, duty:<служба>, supervisor, admin, auditor; служба — только у duty")
	case "login":
		return errors.New("имя для входа: от 1 до 64 знаков из a-z, 0-9, «.», «_», «-»")
	case "name":
		return errors.New("имя жетона: от 1 до 64 знаков из a-z, 0-9, «.», «_», «-»")
	case "password":
		return errors.New("пароль: слишком короткий (нужно 10 знаков или больше) или слишком длинный (512 октетов — предел)")
	default:
		return err
	}
}

type tokenRevokeCmd struct {
	config.Base
	Name string `arg:"" help:"${flag_token_name}"`
}

// Run ends a token.
func (c tokenRevokeCmd) Run(ctx context.Context, t terminal) error {
	return withAccounts(ctx, c.Base, t, func(s *consoledb.Store) error {
		err := s.RevokeToken(ctx, c.Name, time.Now())
		if errors.Is(err, dispatch.ErrNotFound) {
			return fmt.Errorf(t.say("жетона «%s» нет, или он уже отозван", "there is no token %q, or it is revoked"), c.Name)
		}
		return err
	})
}

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"${cmd_user_add}"`
	Passwd userPasswdCmd `cmd:"" help:"${cmd_user_passwd}"`
}

type userAddCmd struct {
	config.Base
	Login string `arg:"" help:"${flag_login}"`
	Role  string `required:"" placeholder:"ROLE" help:"${flag_role}"`
	Name  string `placeholder:"NAME" help:"${flag_person}"`
}

// Run adds a person; the password comes from standard input, or is made up and
// printed when that is a terminal.
func (c userAddCmd) Run(ctx context.Context, t terminal) error {
	if err := checkService(t, c.Role); err != nil {
		return err
	}
	password, made, err := askPassword()
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = c.Login
	}
	return withAccounts(ctx, c.Base, t, func(s *consoledb.Store) error {
		if err := console.CreateAccount(ctx, s, c.Login, c.Name, c.Role, password, time.Now()); errors.Is(err, dispatch.ErrDuplicate) {
			return fmt.Errorf(t.say("имя для входа «%s» занято", "the login %q is taken"), c.Login)
		} else if err != nil {
			return accountError(t, err)
		}
		return tellPassword(t, password, made)
	})
}

type userPasswdCmd struct {
	config.Base
	Login string `arg:"" help:"${flag_login}"`
}

// Run changes a password and ends the person's sessions.
func (c userPasswdCmd) Run(ctx context.Context, t terminal) error {
	password, made, err := askPassword()
	if err != nil {
		return err
	}
	return withAccounts(ctx, c.Base, t, func(s *consoledb.Store) error {
		if err := console.SetPassword(ctx, s, c.Login, password); errors.Is(err, dispatch.ErrNotFound) {
			return fmt.Errorf(t.say("человека с именем для входа «%s» нет", "nobody has the login %q"), c.Login)
		} else if err != nil {
			return accountError(t, err)
		}
		return tellPassword(t, password, made)
	})
}

// askPassword reads one line from standard input, so that a password never
// stands in a command line; with a terminal there it makes one up.
func askPassword() (password string, made bool, err error) {
	if isTerminal(os.Stdin) {
		return rand.Text()[:16], true, nil
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read the password: %w", err)
	}
	password = strings.TrimRight(line, "\r\n")
	if password == "" {
		return rand.Text()[:16], true, nil
	}
	return password, false, nil
}

func tellPassword(t terminal, password string, made bool) error {
	if !made {
		return nil
	}
	_, err := fmt.Fprintf(t.out, "%s %s\n", t.say("пароль:", "password:"), password)
	return err
}

// withAccounts opens the database of --data and hands its accounts to do.
func withAccounts(ctx context.Context, c config.Base, t terminal, do func(*consoledb.Store) error) error {
	return withDatabase(ctx, c, t, func(d opened) error { return do(consoledb.New(d.pool, nil)) })
}
