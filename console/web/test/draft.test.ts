import { describe, expect, it } from 'vitest'
import { answered, conflicts, dirty, edit, emptyDraft, left, rebased, resolve, sending, serverChanged, shown, status, toSave } from '../src/model/draft'

const blank = { type: '', place: '', description: '' }

describe('draft', () => {
  it('keeps what is typed while the server has something else', () => {
    const d = edit(emptyDraft, 'place', 'Nevsky 88', blank)
    expect(shown(d, 'place', blank)).toBe('Nevsky 88')
    expect(status(d)).toBe('unsaved')
    expect(toSave(d)).toEqual({ place: 'Nevsky 88', base: { place: '' } })
  })

  it('is saved only after the answer', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    const form = toSave(d)
    d = sending(d, 'c1', form)
    expect(status(d)).toBe('saving')
    d = answered(d, 'c1', true)
    expect(status(d)).toBe('saved')
  })

  it('stays unsaved when the save was refused', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    const form = toSave(d)
    d = answered(sending(d, 'c1', form), 'c1', false)
    expect(status(d)).toBe('unsaved')
  })

  it('does not lose what was typed while a save was on its way', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    const form = toSave(d)
    d = sending(d, 'c1', form)
    d = edit(d, 'place', 'AB', blank)
    d = serverChanged(d, { ...blank, place: 'A' }) // our own save comes back as a delta
    d = answered(d, 'c1', true)
    expect(conflicts(d)).toEqual([])
    expect(shown(d, 'place', { ...blank, place: 'A' })).toBe('AB')
    expect(status(d)).toBe('unsaved')
  })

  it('counts a trimmed place as saved and keeps the blank on screen', () => {
    let d = edit(emptyDraft, 'place', 'Nevsky ', blank)
    d = serverChanged(d, { ...blank, place: 'Nevsky' })
    expect(dirty(d, 'place')).toBe(false)
    expect(shown(d, 'place', { ...blank, place: 'Nevsky' })).toBe('Nevsky ')
  })

  it('never lets another person overwrite the field that is being typed', () => {
    let d = edit(emptyDraft, 'place', 'mine', blank)
    const server = { ...blank, place: 'theirs' }
    d = serverChanged(d, server)
    expect(shown(d, 'place', server)).toBe('mine')
    expect(conflicts(d)).toEqual(['place'])
    expect(toSave(d)).toEqual({}) // undecided: not sent
    expect(toSave(resolve(d, 'place', 'mine'))).toEqual({ place: 'mine', base: { place: 'theirs' } })
    const taken = resolve(d, 'place', 'theirs')
    expect(shown(taken, 'place', server)).toBe('theirs')
    expect(status(taken)).toBe('clean')
  })

  it('says so even when the typed text was saved already', () => {
    let d = edit(emptyDraft, 'place', 'mine', blank)
    d = serverChanged(d, { ...blank, place: 'mine' })
    d = serverChanged(d, { ...blank, place: 'theirs' })
    expect(conflicts(d)).toEqual(['place'])
  })

  it('lets go of a saved field when the cursor leaves it, never of an unsaved one', () => {
    const unsaved = edit(emptyDraft, 'place', 'mine', blank)
    expect(left(unsaved, 'place')).toBe(unsaved)
    const saved = serverChanged(unsaved, { ...blank, place: 'mine' })
    expect(left(saved, 'place').fields.place).toBeUndefined()
  })

  it('takes another person\'s change of a field that nobody types in', () => {
    const d = serverChanged(edit(emptyDraft, 'place', 'mine', blank), { ...blank, description: 'theirs' })
    expect(shown(d, 'description', { ...blank, description: 'theirs' })).toBe('theirs')
    expect(toSave(d)).toEqual({ place: 'mine', base: { place: '' } }) // and leaves it alone
  })

  it('grows the next text from the one on its way', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    d = sending(d, 'c1', toSave(d))
    d = edit(d, 'place', 'AB', blank)
    expect(toSave(d)).toEqual({ place: 'AB', base: { place: 'A' } })
    // The effect is seen before the answer: then from what is stored.
    d = serverChanged(d, { ...blank, place: 'A' })
    expect(toSave(d)).toEqual({ place: 'AB', base: { place: 'A' } })
    d = serverChanged(d, { ...blank, place: 'theirs' })
    expect(conflicts(d)).toEqual(['place'])
    d = resolve(d, 'place', 'mine')
    expect(toSave(d)).toEqual({ place: 'AB', base: { place: 'theirs' } })
    expect(answered(d, 'c1', true).fields.place?.base).toBe('theirs')
  })

  it('grows from what was chosen over, whatever is on its way', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    d = sending(d, 'c1', toSave(d))
    d = serverChanged(d, { ...blank, place: 'theirs' }) // before the refusal of ours
    d = resolve(d, 'place', 'mine')
    expect(toSave(d)).toEqual({ place: 'A', base: { place: 'theirs' } })
  })

  it('does not go back to a text whose effect it saw long ago', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    d = sending(d, 'c1', toSave(d))
    d = serverChanged(d, { ...blank, place: 'A' })
    d = edit(d, 'place', 'AB', blank)
    d = serverChanged(d, { ...blank, place: 'AB' }) // somebody typed the same
    d = answered(d, 'c1', true)
    expect(d.fields.place?.base).toBe('AB')
  })

  it('sees no conflict in its own way back', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    d = sending(d, 'c1', toSave(d))
    d = edit(d, 'place', '', blank) // cleared again before the answer
    expect(dirty(d, 'place')).toBe(true)
    expect(left(d, 'place')).toBe(d)
    d = sending(d, 'c2', toSave(d))
    d = serverChanged(d, blank) // an old row says nothing
    d = serverChanged(d, { ...blank, place: 'A' })
    expect(conflicts(d)).toEqual([])
    d = serverChanged(answered(d, 'c1', true), blank)
    d = answered(d, 'c2', true)
    expect(conflicts(d)).toEqual([])
    expect(dirty(d, 'place')).toBe(false)
  })

  it('grows from where the refused text grew from', () => {
    const refused = { place: 'A', base: { place: '' } }
    expect(rebased({ place: 'AB', type: 'fire', base: { place: 'A ', type: '' } }, refused)).toEqual({
      place: 'AB', type: 'fire', base: { place: '', type: '' },
    })
    expect(rebased({ place: 'AB', base: { place: 'theirs' } }, refused).base).toEqual({ place: 'theirs' })
    expect(rebased({}, refused)).toEqual({ base: {} })
  })
})
