import { afterEach, expect, it } from 'vitest'
import { lang } from '../src/i18n'
import { readEvent, readIncident } from '../src/model/read'
import { journalLine, whyOf } from '../src/ui/words'

afterEach(() => {
  lang.value = 'ru'
})

it('says why in the language of the screen, and in the other where a rule has but one', () => {
  const row = readIncident({
    id: 'i', version: 1, state: 'dispatched',
    assignments: [{ id: 'a', service: 'fire', why: 'горит', whyEn: 'it burns' }, { id: 'b', service: 'police', why: 'так' }],
  })
  const line = readEvent({ seq: 1, id: 'e', kind: 'assigned', data: { service: 'fire', why: 'горит', whyEn: 'it burns' } })
  if (row === undefined || line === undefined) throw new Error('unreadable')
  expect(row.assignments.map(whyOf)).toEqual(['горит', 'так'])
  expect(journalLine(line).notes).toContain('горит')
  lang.value = 'en'
  expect(row.assignments.map(whyOf)).toEqual(['it burns', 'так'])
  expect(journalLine(line).notes).toContain('it burns')
})

it('says of a call whose particulars are not this reader\'s that it changed, and no more', () => {
  const line = readEvent({ seq: 1, id: 'e', kind: 'contact_state', actor: 'caller', data: {} })
  if (line === undefined) throw new Error('unreadable')
  expect(journalLine(line)).toEqual({ text: 'Изменилось обращение', notes: [] })
  lang.value = 'en'
  expect(journalLine(line).text).toBe('A contact changed')
})
