// The browser of the tests: Debian's Chromium, driven by playwright-core, which
// downloads nothing. Everything is found by data-testid; the hooks are listed in
// ../README.md.
import { chromium } from 'playwright-core'

export async function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
    ],
  })
}

// logIn opens a console of its own (its own cookies and storage). complaints
// gathers what a healthy page never does: script errors, refusals by the content
// security policy, requests to other hosts.
export async function logIn(browser, base, login, password, { lang = 'ru', viewport = { width: 1366, height: 768 } } = {}) {
  const context = await browser.newContext({ viewport, ignoreHTTPSErrors: true })
  context.setDefaultTimeout(90_000) // the machine may be busy with other tests
  const page = await context.newPage()
  const complaints = []
  page.on('pageerror', (e) => complaints.push(`script error: ${e.message}`))
  page.on('console', (m) => {
    if (m.type() === 'error' && !/status of 401/.test(m.text())) complaints.push(m.text())
  })
  const host = new URL(base).host
  page.on('request', (r) => {
    if (new URL(r.url()).host !== host) complaints.push(`request to ${r.url()}`)
  })
  await page.goto(base)
  await page.getByTestId('login-name').fill(login)
  await page.getByTestId('login-password').fill(password)
  await page.getByTestId(`lang-${lang}`).click()
  await page.getByTestId('login-submit').click()
  await page.getByTestId('desk').waitFor()
  await fresh(page)
  return { page, context, complaints }
}

// fresh waits until the page says that what it shows is current.
export const fresh = (page) => page.locator('[data-testid=desk][data-stale=false]').waitFor()

export const row = (page, number) => page.locator(`[data-testid=incident-row][data-number="${number}"]`)

// chip waits for a service's state on a row of the board, with no reload.
export const chip = (page, number, service, state) =>
  row(page, number).locator(`[data-testid=chip][data-service="${service}"][data-state="${state}"]`)
