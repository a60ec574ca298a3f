package console

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Position is the place of a row in a list that is ordered by time and then id:
// where the next page begins. Rows that come in meanwhile move nothing.
type Position struct {
	At time.Time
	ID uuid.UUID
}

// cursor writes a position as opaque text. kind keeps lists apart: a cursor of
// one list is refused by another.
func (p Position) cursor(kind byte) string {
	b := make([]byte, 0, 25)
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(p.At.UnixMicro()))
	b = append(b, p.ID[:]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

var errCursor = invalid("cursor", "Этот список такого курсора не выдавал", "cursor: is not one that this list gave out")

func readCursor(kind byte, text string) (*Position, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no cursor: the first page
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 25 || b[0] != kind {
		return nil, errCursor
	}
	p := &Position{At: time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))).UTC()}
	if y := p.At.Year(); y < 1 || y > 9999 { // made up, and beyond what the database counts
		return nil, errCursor
	}
	copy(p.ID[:], b[9:])
	return p, nil
}

// page cuts the one row more that was asked for and says where the next page
// begins; empty at the end.
func page[T any](rows []T, limit int, kind byte, at func(T) Position) ([]T, string) {
	if rows == nil {
		rows = []T{}
	}
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, at(rows[limit-1]).cursor(kind)
}
