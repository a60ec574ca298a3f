package alarms_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nabat/alarms"
	"nabat/alarms/contactid"
	"nabat/alarms/siadcs"
)

// The codecs' tables use no word that the house does not have.
func TestTablesSpeakTheVocabulary(t *testing.T) {
	t.Parallel()
	known := func(class alarms.Class, cond alarms.Condition) {
		ru, en := class.Title()
		require.NotEmpty(t, ru, class)
		require.NotEmpty(t, en, class)
		ru, en = cond.Title()
		require.NotEmpty(t, ru, cond)
		require.NotEmpty(t, en, cond)
	}
	for _, e := range contactid.Entries() {
		for _, q := range []byte("136") {
			cond, ok := e.Condition(q)
			require.True(t, ok)
			known(alarms.Class(e.Class), alarms.Condition(cond))
		}
	}
	for _, e := range siadcs.Entries() {
		known(alarms.Class(e.Class), alarms.Condition(e.Condition))
	}
}

func TestUrgentClassesOpenCards(t *testing.T) {
	t.Parallel()
	for _, c := range []alarms.Class{
		alarms.ClassFire, alarms.ClassPanic, alarms.ClassDuress, alarms.ClassGas, alarms.ClassCO, alarms.ClassMedical,
	} {
		require.True(t, alarms.Urgent(c))
		typ, ok := alarms.Opens(c, alarms.Alarm)
		require.True(t, ok)
		require.True(t, typ.Valid())
		_, ok = alarms.Opens(c, alarms.Restore)
		require.False(t, ok)
	}
	require.False(t, alarms.Urgent(alarms.ClassIntrusion))
	_, ok := alarms.Opens(alarms.ClassIntrusion, alarms.Alarm)
	require.True(t, ok)
	_, ok = alarms.Opens(alarms.ClassFirePrealarm, alarms.Alarm)
	require.False(t, ok)
}

// The end of an alarm must not read like its beginning.
func TestTheEndHasATitleOfItsOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, c := range []struct{ event, title string }{
		{"1110 01 007", "Пожар"},
		{"3110 01 007", "Восстановление: "},
		{"6110 01 007", "Всё ещё есть: "},
		{"1301 00 000", ""},
		{"3301 00 000", "Восстановление: "},
		{"3521 00 001", "Отменено: "},
		{"1401 00 001", "Снятие или постановка пользователем"},
	} {
		require.Equal(t, alarms.Stored, h.cid(c.event))
		require.Contains(t, h.last().Text, c.title, c.event)
		require.Equal(t, c.event[0] == '1', !strings.Contains(h.last().Text, ": "), "%s: %s", c.event, h.last().Text)
	}
}
