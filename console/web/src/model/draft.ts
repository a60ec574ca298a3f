import { formFields, type Form, type FormChange, type FormField, type Incident } from './protocol'

// What a person types on a card, kept apart from what the server has. Nothing
// here touches the network or the disk; store/drafts.ts does.
//
// Laws, held by the tests: typed text is never replaced by the server's; a change
// by somebody else to the same field is shown, and not overwritten until a person
// has chosen; only what this person typed is sent, each field with the value it
// grew from, so that the server can refuse what we could not see; a text counts as
// saved only after the server said so.

export interface FieldDraft {
  mine: string
  base: string // the server's value that mine grew from
  theirs: string | null // somebody else's value, not decided yet
}

// Sent is a form on its way. A field leaves it as soon as the server shows its
// effect, or a person has decided about it: it says no more what the next text
// grew from.
export interface Sent {
  id: string // of the command
  form: FormChange
}

export interface Draft {
  fields: Partial<Record<FormField, FieldDraft>>
  sent: readonly Sent[] // unanswered, in their order
  stored: boolean // the server has confirmed a text of this draft
}

export const emptyDraft: Draft = { fields: {}, sent: [], stored: false }

export const formOf = (i: Incident): Form => ({ type: i.type, place: i.place, description: i.description })

// The server trims the place; the text on screen keeps the blank that is being typed.
const norm = (f: FormField, v: string): string => (f === 'place' ? v.trim() : v)
export const same = (f: FormField, a: string, b: string): boolean => norm(f, a) === norm(f, b)

const withField = (d: Draft, f: FormField, v: FieldDraft | undefined): Draft => {
  const fields = { ...d.fields }
  if (v === undefined) delete fields[f]
  else fields[f] = v
  return { ...d, fields }
}

// onItsWay is the text of the field that was sent last and had no effect to be seen.
const onItsWay = (d: Draft, f: FormField): string | undefined => {
  let text: string | undefined
  for (const s of d.sent) text = s.form[f] ?? text
  return text
}

// arrived takes the field out of the first n forms on their way.
const arrived = (d: Draft, f: FormField, n: number): Draft => {
  if (!d.sent.slice(0, n).some((s) => s.form[f] !== undefined)) return d
  const sent = d.sent.map((s, i) => {
    if (i >= n) return s
    const form = { ...s.form }
    delete form[f]
    return { ...s, form }
  })
  return { ...d, sent }
}

// landed: the server's new value is one that we sent.
const landed = (d: Draft, f: FormField, now: string): number => {
  for (let i = d.sent.length - 1; i >= 0; i--) {
    const text = d.sent[i]?.form[f]
    if (text !== undefined && same(f, text, now)) return i + 1
  }
  return 0
}

export function edit(d: Draft, f: FormField, value: string, server: Form): Draft {
  const old = d.fields[f]
  return withField(d, f, { mine: value, base: old?.base ?? server[f], theirs: old?.theirs ?? null })
}

// serverChanged takes the server's present values.
export function serverChanged(d: Draft, server: Form): Draft {
  let out = d
  for (const f of formFields) {
    const field = out.fields[f]
    if (field === undefined) continue
    const now = server[f]
    const ours = same(f, now, field.base) ? 0 : landed(out, f, now)
    if (ours > 0) out = arrived(out, f, ours)
    if (same(f, now, field.mine) || ours > 0) out = withField(out, f, { ...field, base: now, theirs: null })
    else if (same(f, now, field.base)) {
      if (field.theirs !== null) out = withField(out, f, { ...field, theirs: null })
    } else out = withField(out, f, { ...field, theirs: now })
  }
  return out
}

export function resolve(d: Draft, f: FormField, keep: 'mine' | 'theirs'): Draft {
  const field = d.fields[f]
  if (field === undefined || field.theirs === null) return d
  if (keep === 'theirs') return withField(arrived(d, f, d.sent.length), f, undefined)
  // The text now grows from theirs, whatever becomes of what is on its way.
  return withField(arrived(d, f, d.sent.length), f, { mine: field.mine, base: field.theirs, theirs: null })
}

// left lets go of a field that the cursor is not in: a saved text needs no copy.
export function left(d: Draft, f: FormField): Draft {
  const field = d.fields[f]
  if (field === undefined || field.theirs !== null || dirty(d, f)) return d
  return withField(d, f, undefined)
}

// dirty: the server does not have this text, or will not have it any more when
// what is on its way has arrived.
export function dirty(d: Draft, f: FormField): boolean {
  const field = d.fields[f]
  if (field === undefined) return false
  return !same(f, field.mine, field.base) || !same(f, field.mine, onItsWay(d, f) ?? field.mine)
}

export const anyDirty = (d: Draft): boolean => formFields.some((f) => dirty(d, f))
export const conflicts = (d: Draft): readonly FormField[] =>
  formFields.filter((f) => (d.fields[f]?.theirs ?? null) !== null)

// shown is the text in the field.
export const shown = (d: Draft, f: FormField, server: Form): string => d.fields[f]?.mine ?? server[f]

// toSave is what to send: this person's texts and nothing else. An undecided field
// does not go. What an earlier form carries goes once more, grown from it, because
// that form may yet be refused.
export function toSave(d: Draft): FormChange {
  const change: FormChange = {}
  const base: Partial<Form> = {}
  for (const f of formFields) {
    const field = d.fields[f]
    if (field === undefined || field.theirs !== null || !dirty(d, f)) continue
    change[f] = field.mine
    base[f] = onItsWay(d, f) ?? field.base
  }
  return Object.keys(base).length > 0 ? { ...change, base } : change
}

export const isEmpty = (c: FormChange): boolean => formFields.every((f) => c[f] === undefined)

// rebased: the form before this one was refused, so what grew from its texts grows
// from what those grew from.
export function rebased(next: FormChange, refused: FormChange): FormChange {
  const base = { ...next.base }
  for (const f of formFields) {
    const was = refused[f]
    const grown = next.base?.[f]
    if (was === undefined || grown === undefined || !same(f, grown, was)) continue
    const before = refused.base?.[f]
    if (before === undefined) delete base[f]
    else base[f] = before
  }
  return { ...next, base }
}

export const sending = (d: Draft, id: string, form: FormChange): Draft => ({ ...d, sent: [...d.sent, { id, form }] })

// answered: the server has carried this command out, or refused it.
export function answered(d: Draft, id: string, ok: boolean): Draft {
  const form = d.sent.find((s) => s.id === id)?.form ?? {}
  let out: Draft = { ...d, sent: d.sent.filter((s) => s.id !== id) }
  if (!ok) return out
  out = { ...out, stored: true }
  for (const f of formFields) {
    const field = out.fields[f]
    const text = form[f]
    if (field !== undefined && text !== undefined && field.theirs === null) out = withField(out, f, { ...field, base: text })
  }
  return out
}

export type DraftStatus = 'clean' | 'unsaved' | 'saving' | 'saved' | 'conflict'

export function status(d: Draft): DraftStatus {
  if (conflicts(d).length > 0) return 'conflict'
  if (d.sent.length > 0) return 'saving'
  if (anyDirty(d)) return 'unsaved'
  return d.stored || Object.keys(d.fields).length > 0 ? 'saved' : 'clean'
}
