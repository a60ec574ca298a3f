import { describe, expect, it } from 'vitest'
import { answered, conflicts, dirty, edit, emptyDraft, left, resolve, sending, serverChanged, shown, status, toSave } from '../src/model/draft'

const blank = { type: '', place: '', description: '' }

describe('draft', () => {
  it('keeps what is typed while the server has something else', () => {
    const d = edit(emptyDraft, 'place', 'Nevsky 88', blank)
    expect(shown(d, 'place', blank)).toBe('Nevsky 88')
    expect(status(d)).toBe('unsaved')
    expect(toSave(d, blank)).toEqual({ ...blank, place: 'Nevsky 88' })
  })

  it('is saved only after the answer', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    const form = toSave(d, blank)
    d = sending(d, form)
    expect(status(d)).toBe('saving')
    d = answered(d, form, true)
    expect(status(d)).toBe('saved')
  })

  it('stays unsaved when the save was refused', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    const form = toSave(d, blank)
    d = answered(sending(d, form), form, false)
    expect(status(d)).toBe('unsaved')
  })

  it('does not lose what was typed while a save was on its way', () => {
    let d = edit(emptyDraft, 'place', 'A', blank)
    const form = toSave(d, blank)
    d = sending(d, form)
    d = edit(d, 'place', 'AB', blank)
    d = serverChanged(d, { ...blank, place: 'A' }) // our own save comes back as a delta
    d = answered(d, form, true)
    expect(conflicts(d)).toEqual([])
    expect(shown(d, 'place', { ...blank, place: 'A' })).toBe('AB')
    expect(status(d)).toBe('unsaved')
  })

  it('counts a trimmed place as saved and keeps the blank on screen', () => {
    let d = edit(emptyDraft, 'place', 'Nevsky ', blank)
    d = serverChanged(d, { ...blank, place: 'Nevsky' })
    expect(dirty(d.fields.place, 'place')).toBe(false)
    expect(shown(d, 'place', { ...blank, place: 'Nevsky' })).toBe('Nevsky ')
  })

  it('never lets another person overwrite the field that is being typed', () => {
    let d = edit(emptyDraft, 'place', 'mine', blank)
    const server = { ...blank, place: 'theirs' }
    d = serverChanged(d, server)
    expect(shown(d, 'place', server)).toBe('mine')
    expect(conflicts(d)).toEqual(['place'])
    expect(toSave(d, server).place).toBe('theirs') // undecided: not overwritten either
    expect(toSave(resolve(d, 'place', 'mine'), server).place).toBe('mine')
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
    expect(toSave(d, { ...blank, description: 'theirs' })).toEqual({ type: '', place: 'mine', description: 'theirs' })
  })
})
