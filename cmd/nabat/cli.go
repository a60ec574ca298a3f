package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/lifecycle"
)

// Exit codes. A signal that is obeyed in order is no failure.
const (
	exitOK      = 0
	exitFailure = 1 // the work could not be done; doctor: something is broken
	exitUsage   = 2 // the command line or the configuration is wrong, nothing was started
	exitSignal  = 128
)

// cli is the tree of commands. Explanations are keys of the table in words.go.
type cli struct {
	Config string `type:"path" env:"NABAT_CONFIG" placeholder:"FILE" help:"${config}"`
	Lang   string `enum:"ru,en" default:"${lang}" env:"NABAT_LANG" help:"${lang_help}"`

	Serve    serveCmd    `cmd:"" help:"${cmd_serve}"`
	Demo     demoCmd     `cmd:"" help:"${cmd_demo}"`
	Migrate  migrateCmd  `cmd:"" help:"${cmd_migrate}"`
	User     userCmd     `cmd:"" help:"${cmd_user}"`
	Token    tokenCmd    `cmd:"" help:"${cmd_token}"`
	Facility facilityCmd `cmd:"" help:"${cmd_facility}"`
	Rules    rulesCmd    `cmd:"" help:"${cmd_rules}"`
	Audit    auditCmd    `cmd:"" help:"${cmd_audit}"`
	Doctor   doctorCmd   `cmd:"" help:"${cmd_doctor}"`
	Version  versionCmd  `cmd:"" help:"${cmd_version}"`
}

// terminal is where a command speaks, and in which language.
type terminal struct {
	out, err io.Writer
	lang     string
}

// say picks the words of the language.
func (t terminal) say(ru, en string) string {
	if t.lang == config.LangEnglish {
		return en
	}
	return ru
}

// errSaid ends a command with a failure that it has already explained.
var errSaid = errors.New("said")

// run is the whole program but for the process: it returns the exit code.
func run(args []string, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	t := terminal{out: stdout, err: stderr, lang: language(args, "")}
	var c cli
	app, file, err := parser(&c, args, t)
	if err != nil {
		fmt.Fprintln(stderr, "nabat:", err)
		return exitUsage
	}
	if lang := language(args, file.Lang()); lang != t.lang {
		t.lang = lang
		if app, file, err = parser(&c, args, t); err != nil {
			fmt.Fprintln(stderr, "nabat:", err)
			return exitUsage
		}
	}
	ctx, stop := lifecycle.OnSignals(context.Background(), signals, func(s os.Signal) {
		fmt.Fprintln(stderr, t.say("второй сигнал: выходим немедленно", "second signal: leaving at once"))
		os.Exit(exitSignal + number(s))
	})
	defer stop()

	parsed, err := parse(app, args)
	if done, ok := errors.AsType[helpShownError](err); ok {
		return int(done)
	}
	if err = file.Locate(err); err == nil {
		err = config.CheckEnvironment(os.Environ(), app.Model.Node)
	}
	if err != nil {
		fmt.Fprintln(stderr, "nabat:", err)
		fmt.Fprintln(stderr, t.say("подсказка: nabat --help", "try: nabat --help"))
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(t); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintln(stderr, "nabat:", err)
		}
		return exitFailure
	}
	return exitOK
}

// helpShownError is the way out after kong has shown help: it would leave the
// process, and a test has only one.
type helpShownError int

func (helpShownError) Error() string { return "help shown" }

func parse(app *kong.Kong, args []string) (ctx *kong.Context, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case helpShownError:
			err = r
		default:
			panic(r)
		}
	}()
	return app.Parse(args)
}

// parser builds the command line over the configuration file that args name;
// without one the file is empty.
func parser(c *cli, args []string, t terminal) (*kong.Kong, *config.File, error) {
	app, err := kong.New(c,
		kong.Name("nabat"),
		kong.Description(words["description"].in(t.lang)),
		kong.Writers(t.out, t.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Help(translated(t.lang)),
		kong.Exit(func(code int) { panic(helpShownError(code)) }),
		kong.Vars{"lang": t.lang},
		kong.DefaultEnvars("NABAT"),
		vocabulary(t.lang),
		config.Help(t.lang),
	)
	path := configPath(args)
	if err != nil || path == "" {
		return app, &config.File{}, err
	}
	file, err := config.Load(path, app.Model.Node)
	if err != nil {
		return nil, nil, err
	}
	return app, file, kong.Resolvers(file).Apply(app)
}

// translated shows kong's help with its few fixed words in the user's language.
func translated(lang string) kong.HelpPrinter {
	return func(options kong.HelpOptions, ctx *kong.Context) error {
		out := ctx.Stdout
		var text bytes.Buffer
		ctx.Stdout = &text
		err := kong.DefaultHelpPrinter(options, ctx)
		ctx.Stdout = out
		if err != nil {
			return err
		}
		s := text.String()
		if lang != config.LangEnglish {
			s = russianHelp.Replace(s)
		}
		_, err = io.WriteString(out, s)
		return err
	}
}

var russianHelp = strings.NewReplacer(
	"Usage: ", "Запуск: ", "\nFlags:\n", "\nКлючи:\n", "\nCommands:\n", "\nКоманды:\n", "\nArguments:\n", "\nАргументы:\n",
	"Show context-sensitive help.", "Показать эту справку.",
	`Run "nabat <command> --help" for more information on a command.`, `Подробнее о команде: nabat <command> --help`,
	"<command>", "<команда>", "[flags]", "[ключи]",
)

// value finds a flag before kong does: file and language are needed to build it.
func value(args []string, flag, env string) string {
	for i, a := range args {
		if a == "--" {
			break
		}
		if v, ok := strings.CutPrefix(a, flag+"="); ok {
			return v
		}
		if a == flag && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv(env)
}

func configPath(args []string) string { return value(args, "--config", "NABAT_CONFIG") }

// language is the one asked for by flag, environment, file or locale.
func language(args []string, file string) string {
	return config.Lang(value(args, "--lang", "NABAT_LANG"), file, os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG"))
}

func number(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return int(n)
	}
	return 0
}

// logger builds the log as configured, to standard error.
func logger(c config.Log, stderr io.Writer) (*zap.Logger, error) {
	level, err := zap.ParseAtomicLevel(c.Level)
	if err != nil {
		return nil, err
	}
	return newLogger(level, c.Format, stderr), nil
}
