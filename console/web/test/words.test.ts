import { expect, test } from 'vitest'
import { setLang } from '../src/i18n'
import { readEvent } from '../src/model/read'
import { haystack, journalLine } from '../src/ui/words'
import { assignment, incident } from './make'

test('the journal says why a call ended', () => {
  const e = readEvent({
    seq: 1, id: 'e1', kind: 'contact_state', data: { to: 'ended', reason: 'line_lost', why: 'на OPTIONS никто не ответил' },
  })
  expect(e).toBeDefined()
  if (e === undefined) return
  expect(journalLine(e).notes).toContain('на OPTIONS никто не ответил')
})

test('what a search looks through is made once a card and language, and follows both', () => {
  let read = 0
  const once = incident({ assignments: [assignment({ service: 'fire' })] })
  const card = new Proxy(once, { get: (o, k) => (k === 'place' && read++, Reflect.get(o, k) as unknown) })
  setLang('ru')
  expect(haystack(card)).toContain('пожарная')
  expect(haystack(card)).toBe(haystack(card))
  expect(read).toBe(1)
  setLang('en')
  expect(haystack(card)).toContain('fire')
  expect(read).toBe(2)
  expect(haystack(incident({ place: 'Литейный пр.' }))).toContain('литейный')
  setLang('ru')
})
