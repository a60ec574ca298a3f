import { formFields, type Form, type FormField, type Incident } from './protocol'

// What a person types on a card, kept apart from what the server has. Nothing
// here touches the network or the disk; store/drafts.ts does.
//
// Laws, held by the tests: typed text is never replaced by the server's; a change
// by somebody else to the same field is shown, and not overwritten until a person
// has chosen; a text counts as saved only after the server said so.

export interface FieldDraft {
  mine: string
  base: string // the server's value that mine grew from
  theirs: string | null // somebody else's value, not decided yet
}

export interface Draft {
  fields: Partial<Record<FormField, FieldDraft>>
  sent: readonly Form[] // forms on their way, unanswered
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
    if (same(f, now, field.mine)) out = withField(out, f, { ...field, base: now, theirs: null })
    else if (same(f, now, field.base)) {
      if (field.theirs !== null) out = withField(out, f, { ...field, theirs: null })
    } else if (out.sent.some((s) => same(f, s[f], now))) out = withField(out, f, { ...field, base: now })
    else out = withField(out, f, { ...field, theirs: now })
  }
  return out
}

export function resolve(d: Draft, f: FormField, keep: 'mine' | 'theirs'): Draft {
  const field = d.fields[f]
  if (field === undefined || field.theirs === null) return d
  if (keep === 'theirs') return withField(d, f, undefined)
  return withField(d, f, { mine: field.mine, base: field.theirs, theirs: null })
}

// left lets go of a field that the cursor is not in: a saved text needs no copy.
export function left(d: Draft, f: FormField): Draft {
  const field = d.fields[f]
  if (field === undefined || field.theirs !== null || !same(f, field.mine, field.base)) return d
  return withField(d, f, undefined)
}

export const dirty = (field: FieldDraft | undefined, f: FormField): boolean =>
  field !== undefined && !same(f, field.mine, field.base)

export const anyDirty = (d: Draft): boolean => formFields.some((f) => dirty(d.fields[f], f))
export const conflicts = (d: Draft): readonly FormField[] =>
  formFields.filter((f) => (d.fields[f]?.theirs ?? null) !== null)

// shown is the text in the field.
export const shown = (d: Draft, f: FormField, server: Form): string => d.fields[f]?.mine ?? server[f]

// toSave is the form to store. An undecided field goes with the other person's
// value, so that saving one field never destroys another.
export function toSave(d: Draft, server: Form): Form {
  const value = (f: FormField): string => {
    const field = d.fields[f]
    return field === undefined || field.theirs !== null ? server[f] : field.mine
  }
  return { type: value('type'), place: value('place'), description: value('description') }
}

export const sending = (d: Draft, form: Form): Draft => ({ ...d, sent: [...d.sent, form] })

// answered: the server has stored this form, or refused it.
export function answered(d: Draft, form: Form, ok: boolean): Draft {
  const i = d.sent.findIndex((s) => formFields.every((f) => s[f] === form[f]))
  let out: Draft = { ...d, sent: d.sent.filter((_, n) => n !== i) }
  if (!ok) return out
  out = { ...out, stored: true }
  for (const f of formFields) {
    const field = out.fields[f]
    if (field !== undefined && field.theirs === null) out = withField(out, f, { ...field, base: form[f] })
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
