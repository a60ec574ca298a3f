import { signal } from '@preact/signals'
import type { Words } from '../model/protocol'
import { en } from './en'
import { ru, type Dictionary } from './ru'

export type Lang = 'ru' | 'en'

const key = 'nabat.lang'
const dictionaries: Record<Lang, Dictionary> = { ru, en }

const remembered = (): Lang => {
  try {
    return localStorage.getItem(key) === 'en' ? 'en' : 'ru'
  } catch {
    return 'ru'
  }
}

export const lang = signal<Lang>(remembered())

// t is read while painting, so a change of language repaints what uses it.
export const t = (): Dictionary => dictionaries[lang.value]

export function setLang(l: Lang): void {
  lang.value = l
  try {
    localStorage.setItem(key, l)
  } catch {
    // The choice then lasts for this page only.
  }
}

export const pick = (w: Words): string => (lang.value === 'ru' ? w.ru || w.en : w.en || w.ru)

// word finds a name in a table of the dictionary; a word that a newer engine
// invented is shown as it is rather than hidden.
export const word = (table: Readonly<Record<string, string>>, name: string): string => table[name] ?? name
