package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// wantFiles is for a city: thousands of panels, hundreds of consoles, calls.
	wantFiles = 16384
	minFiles  = 1024

	lowDisk   = 10 << 30
	emptyDisk = 1 << 30

	// maxClockError is when times in the journal can no longer be argued with.
	maxClockError = time.Second
)

// files looks at the limit of open files: every panel on TCP and every console is one.
func files(context.Context, Patient) []Finding {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return one(Finding{"files", Warning, "Предел открытых файлов узнать не удалось: " + err.Error(), "The limit of open files is not known: " + err.Error()})
	}
	f := Finding{
		About: "files",
		RU:    fmt.Sprintf("Можно открыть файлов: %d (жёсткий предел %d).", l.Cur, l.Max),
		EN:    fmt.Sprintf("Open files allowed: %d (hard limit %d).", l.Cur, l.Max),
	}
	switch {
	case l.Cur < minFiles:
		f.Level = Fault
		f.RU += fmt.Sprintf(" Этого не хватит: поднимите до %d (ulimit -n, LimitNOFILE=).", wantFiles)
		f.EN += fmt.Sprintf(" Too few: raise to %d (ulimit -n, LimitNOFILE=).", wantFiles)
	case l.Cur < wantFiles:
		f.Level = Warning
		f.RU += fmt.Sprintf(" Для города нужно %d (ulimit -n, LimitNOFILE=).", wantFiles)
		f.EN += fmt.Sprintf(" A city needs %d (ulimit -n, LimitNOFILE=).", wantFiles)
	}
	return one(f)
}

// disk looks at the free space under the data directory.
func disk(_ context.Context, p Patient) []Finding {
	dir, err := existing(p.Config.Data)
	if err != nil {
		return one(Finding{"disk", Fault, "Каталог данных недоступен: " + err.Error(), "The data directory cannot be reached: " + err.Error()})
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return one(Finding{"disk", Warning, "Свободное место узнать не удалось: " + err.Error(), "Free space is not known: " + err.Error()})
	}
	free := s.Bavail * uint64(s.Bsize)
	total := s.Blocks * uint64(s.Bsize)
	f := Finding{
		About: "disk",
		RU:    fmt.Sprintf("В %s свободно %s из %s.", dir, gib(free), gib(total)),
		EN:    fmt.Sprintf("%s free of %s in %s.", gib(free), gib(total), dir),
	}
	switch {
	case free < emptyDisk:
		f.Level = Fault
		f.RU += " Место вот-вот кончится, и сигналы нечем будет сохранить."
		f.EN += " It is about to run out, and signals could not be kept."
	case free < lowDisk:
		f.Level = Warning
		f.RU += " Маловато для журнала и записей разговоров."
		f.EN += " Little for a journal and recordings."
	}
	return one(f)
}

func gib(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// existing is dir or the nearest directory above it that is there.
func existing(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(dir)
		if err == nil || !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

// clock asks the kernel whether somebody keeps its clock.
func clock(context.Context, Patient) []Finding {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	return one(clockFinding(state, tx, err))
}

func clockFinding(state int, tx unix.Timex, err error) Finding {
	f := Finding{About: "clock"}
	if err != nil {
		f.Level, f.RU, f.EN = Warning, "О ходе часов ядро не сообщает: "+err.Error(), "The kernel tells nothing of its clock: "+err.Error()
		return f
	}
	off := time.Duration(tx.Maxerror) * time.Microsecond
	switch {
	case state == unix.TIME_ERROR || tx.Status&unix.STA_UNSYNC != 0:
		f.Level = Warning
		f.RU = "Часы никто не подводит: включите chrony или systemd-timesyncd, иначе время в журнале не доказать."
		f.EN = "Nobody keeps the clock: enable chrony or systemd-timesyncd, or times in the journal prove nothing."
	case off > maxClockError:
		f.Level = Warning
		f.RU = fmt.Sprintf("Часы подводятся, но ошибка может достигать %s.", off)
		f.EN = fmt.Sprintf("The clock is kept, but may be wrong by %s.", off)
	default:
		f.RU = fmt.Sprintf("Часы подводятся, ошибка не больше %s.", off)
		f.EN = fmt.Sprintf("The clock is kept, wrong by %s at most.", off)
	}
	return f
}
