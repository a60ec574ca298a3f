import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { t } from '../i18n'
import { ended, login, unsentOnDisk } from '../store/app'
import { LangSwitch } from './header'
import { SignIcon } from './icons'

export const Login = () => {
  const name = useRef<HTMLInputElement>(null)
  const password = useRef<HTMLInputElement>(null)
  const busy = useSignal(false)
  const error = useSignal<'wrong' | 'tooMany' | 'away' | 'empty' | null>(null)
  const words = t().login
  const kept = unsentOnDisk()
  useEffect(() => name.current?.focus(), [])

  const submit = async (e: Event): Promise<void> => {
    e.preventDefault()
    if (busy.peek()) return
    const who = name.current?.value.trim() ?? ''
    const secret = password.current?.value ?? ''
    if (who === '' || secret === '') {
      error.value = 'empty'
      ;(who === '' ? name : password).current?.focus()
      return
    }
    busy.value = true
    error.value = null
    const r = await login(who, secret)
    busy.value = false
    if (r !== 'ok') {
      error.value = r
      if (r === 'wrong') password.current?.select()
    }
  }

  return (
    <div class="login-page">
      <header class="login-top">
        <LangSwitch />
      </header>
      <main class="login-box">
        <img class="login-mark" src="./icon.svg" alt="" width="44" height="44" />
        <h1>{t().product}</h1>
        <p class="muted login-line">{t().productLine}</p>
        {ended.value && (
          <p class="note note-warn" role="status" data-testid="login-ended">
            {words.ended}
          </p>
        )}
        {kept > 0 && <p class="note">{words.kept(kept)}</p>}
        <form onSubmit={(e) => void submit(e)} data-testid="login-form" noValidate>
          <label for="login-name">{words.login}</label>
          <input id="login-name" data-testid="login-name" ref={name} autocomplete="username" autocapitalize="none" spellcheck={false}
            aria-invalid={error.value === 'wrong' || error.value === 'empty'} aria-describedby="login-error" />
          <label for="login-password">{words.password}</label>
          <input id="login-password" data-testid="login-password" ref={password} type="password" autocomplete="current-password"
            aria-invalid={error.value === 'wrong' || error.value === 'empty'} aria-describedby="login-error" />
          <p id="login-error" class="error" role="alert" data-testid="login-error">
            {error.value !== null && (
              <>
                <SignIcon sign="warning" /> {words[error.value]}
              </>
            )}
          </p>
          <button class="primary wide" type="submit" data-testid="login-submit" disabled={busy.value}>
            {busy.value ? words.busy : words.submit}
          </button>
        </form>
      </main>
    </div>
  )
}
