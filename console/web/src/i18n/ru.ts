import type { AssignmentState, IncidentState, Role } from '../model/protocol'

// Every word that people read, in Russian. The English twin has this very type,
// so a text that is missing in either language does not compile.

const plural = (n: number, one: string, few: string, many: string): string => {
  const d = n % 10
  const h = n % 100
  if (d === 1 && h !== 11) return one
  return d >= 2 && d <= 4 && (h < 12 || h > 14) ? few : many
}

const incidentStates: Record<IncidentState, string> = {
  draft: 'Черновик', registered: 'Зарегистрировано', dispatched: 'Направлено', under_way: 'В работе',
  worked: 'Отработано', closed: 'Закрыто', reopened: 'Открыто вновь', cancelled: 'Отменено',
}

const assignmentStates: Record<AssignmentState, string> = {
  added: 'добавлена', published: 'отправлено', received: 'получено', accepted: 'принято',
  refused: 'отказ', en_route: 'в пути', arrived: 'на месте', working: 'работает',
  completed: 'завершено', work_refused: 'отказ от работ', cancelled: 'отменено',
}

const roles: Record<Role, string> = {
  operator: 'Оператор 112', duty: 'Дежурный службы', supervisor: 'Старший смены',
  admin: 'Администратор', auditor: 'Аудитор',
}

export const ru = {
  product: 'Набат',
  productLine: 'Экстренное реагирование города',
  lang: 'Русский',

  login: {
    title: 'Вход', login: 'Логин', password: 'Пароль', submit: 'Войти', busy: 'Проверяем…',
    wrong: 'Неверный логин или пароль', tooMany: 'Слишком много попыток. Подождите минуту',
    away: 'Сервер не отвечает. Проверьте связь и повторите', empty: 'Введите логин и пароль',
    ended: 'Сеанс закончился. Войдите снова',
    kept: (n: number) => `Неотправленный текст сохранён на этом компьютере (${n} ${plural(n, 'карточка', 'карточки', 'карточек')}); он вернётся после входа под тем же логином`,
    starting: 'Загрузка…',
  },

  header: {
    out: 'Выйти', help: 'Клавиши', soundOn: 'Звук включён', soundOff: 'Звук выключен',
    soundLocked: 'Звук ждёт первого нажатия', language: 'Язык', serverTime: 'Время сервера',
    open: 'Связь есть', connecting: 'Соединение…', waiting: 'Нет связи', behind: 'Данные отстают', stopped: 'Отключено',
    unsent: (n: number) => `Ждут ответа сервера: ${n}`,
    waitingForMe: (n: number) => `Ждут вас: ${n}`, next: 'К следующей',
    skip: 'К списку происшествий',
  },

  stale: {
    since: (time: string) => `Данные могли устареть с ${time} — связь восстанавливается`,
    behind: (time: string) => `Данные могли устареть с ${time} — сервер отстаёт от базы`,
    never: 'Данных ещё нет — устанавливаем связь',
    advice: 'Набранное сохраняется и уйдёт, когда связь вернётся',
    back: 'Связь восстановлена, данные точны',
  },

  board: {
    title: 'Открытые происшествия', number: '№', age: 'Открыто', what: 'Что случилось', where: 'Где',
    district: 'Район', state: 'Состояние', services: 'Службы', search: 'Поиск', searchHint: 'номер, место, объект, телефон…',
    all: 'Все', waiting: 'Ждут вас', filter: 'Состояние карточки', clear: 'Сбросить фильтр',
    empty: 'Открытых происшествий нет', nothing: 'По фильтру ничего нет', loading: 'Ждём данные с сервера…',
    more: (n: number) => `Ещё ${n}`, hidden: (n: number) => `Скрыто фильтром: ${n}`,
    hiddenWaiting: (n: number) => `из них ждут вас: ${n}`,
    held: (n: number) => n > 0 ? `Порядок удержан · новых: ${n}` : 'Порядок удержан', release: 'Показать',
    noType: 'Тип не указан', noPlace: 'Место не указано', noServices: 'Службы не назначены',
    unknownFacility: 'Неизвестный объект', onLine: 'На линии', ringing: 'Звонит', callback: 'Перезвонить', lost: 'Вызов сорвался',
    notDeliverable: 'Не доставлено', overdue: 'просрочено', notKnown: 'неизвестно',
    order: 'Сначала ждущие человека (дольше всех — выше), затем новые',
  },

  chip: {
    label: (service: string, state: string) => `${service}: ${state}`,
    waits: (time: string) => `ждёт ответа ${time}`,
    overdue: (time: string) => `просрочено, ждёт ${time}`,
  },

  card: {
    title: (n: number) => `Происшествие № ${n}`, close: 'Закрыть карточку', notFound: 'Такой карточки нет или она вам недоступна',
    loading: 'Загрузка карточки…', gone: 'Карточки больше нет среди открытых',
    facts: 'Сведения', place: 'Место', district: 'Район', facility: 'Объект', caller: 'Телефон',
    description: 'Описание', opened: 'Открыто', registered: 'Зарегистрировано', closed: 'Закрыто',
    closeReason: 'Причина', lastSignal: 'Последний сигнал', origin: 'Источник', class: 'Класс тревоги',
    coordinates: 'Координаты', type: 'Тип', notKnown: 'неизвестно', noPhone: 'номер скрыт или неизвестен',
    version: 'Версия', assignments: 'Службы', contacts: 'Обращения', journal: 'Журнал',
    noAssignments: 'Ни одна служба ещё не назначена', noContacts: 'Обращений нет',
    journalLoading: 'Журнал загружается…', rule: 'Правило', ruleset: 'набор правил', why: 'Почему', byPerson: 'назначил человек',
    order: 'Наряд', comment: 'Комментарий', hangUp: 'Положить трубку',
    unknownFacilityNote: 'Тревога пришла с прибора, которого нет в реестре. Никому не направлено: решите сами',
    draftNote: 'Черновик: службам не направлено', undeliverable: 'Служба не получила карточку. Позвоните ей',
    times: { added: 'назначена', published: 'отправлено', received: 'получено', decided: 'решение', enRoute: 'выезд', arrived: 'прибытие', working: 'начало работ', finished: 'конец' },
  },

  form: {
    draft: 'Заполнить и отправить', amend: 'Изменить или дополнить', type: 'Что случилось', place: 'Место',
    description: 'Описание', choose: '— выберите —', send: 'Отправить', sendChanges: 'Отправить изменения',
    closeNo: 'Закрыть без реагирования', reason: 'Причина', sending: 'Отправляем…',
    saved: 'Сохранено', unsaved: 'Не сохранено', saving: 'Сохраняем…', unsent: 'Изменения не отправлены',
    keptHere: 'Копия есть на этом компьютере', notKept: 'Копию на этом компьютере сохранить нельзя',
    needType: 'Выберите, что случилось', needPlace: 'Укажите место', needReason: 'Укажите причину',
    tooLong: (n: number) => `Не больше ${n} знаков`,
    conflict: 'Это поле изменил другой сотрудник:', conflictEmpty: '(очищено)', mine: 'Оставить мой текст', theirs: 'Взять его текст',
    conflictFirst: 'Сначала решите, чей текст оставить', sendBlocked: 'Отправить нельзя: сначала решите, чей текст оставить', discard: 'Отменить мои изменения',
    lostEdits: 'Ваш текст не отправлен, а карточку уже нельзя изменить:', dropEdits: 'Убрать',
  },

  act: {
    accept: 'Принять', refuse: 'Отказать', refusal: 'Причина отказа', refuseConfirm: 'Отказать',
    back: 'Назад', orderNumber: 'Номер наряда (если есть)', comment: 'Комментарий (если нужен)',
    close: 'Закрыть происшествие', cancel: 'Отменить происшествие', cancelConfirm: 'Отменить происшествие', closeConfirm: 'Закрыть',
    waitFor: 'Осталось на ответ', overdue: 'Срок ответа вышел', own: 'Ваша служба', alreadyRefused: 'Вы отказали. Можно принять',
    done: 'Работа вашей службы закончена', closeWhenDone: 'Закрыть можно, когда все службы закончат',
    steps: {
      accepted: 'Принять', refused: 'Отказать', en_route: 'Выехали', arrived: 'Прибыли', working: 'Работаем',
      completed: 'Завершено', work_refused: 'Отказ от работ',
    },
    pending: 'Ждём ответа сервера…', offline: 'Нет связи: команда уйдёт, как только связь вернётся',
    late: 'Сервер не ответил за 5 с. Команда не потеряна, повторяем',
    tooBig: 'Команда слишком велика. Сократите текст', failed: 'Не выполнено', unknownError: 'Сервер отказал без объяснения', orderLabel: 'Номер наряда',
  },

  keys: {
    title: 'Клавиши', close: 'Закрыть',
    rows: [
      ['↑ ↓  или  J K', 'по списку'], ['Enter', 'открыть карточку; в карточке дежурного — принять'],
      ['A', 'принять (дежурный)'], ['R', 'отказать (дежурный)'], ['N', 'к следующей, что ждёт вас'],
      ['/', 'поиск'], ['Esc', 'назад, к списку'], ['E', 'к форме карточки'], ['Ctrl + Enter', 'отправить форму'],
      ['M', 'звук'], ['L', 'русский / английский'], ['?', 'эта подсказка'], ['Alt (держать)', 'буквы на кнопках'],
    ] as ReadonlyArray<readonly [string, string]>,
    note: 'Буквы работают и в русской раскладке',
  },

  urgent: {
    one: (what: string, where: string) => `Ждёт вас: ${what}, ${where}`,
    many: (n: number) => `Новых, которые ждут вас: ${n}`,
    title: (n: number) => `(${n}) ЖДУТ ВАС — Набат`,
  },

  incidentStates,
  assignmentStates,
  roles,
  origins: { call: 'звонок', sms: 'СМС', ecall: 'ЭРА-ГЛОНАСС', alarm: 'сигнализация' },
  services: { fire: 'Пожарная', police: 'Полиция', medical: 'Скорая', gas: 'Газ' },
  classes: {
    fire: 'Пожар', 'fire-prealarm': 'Внимание (порог 1)', panic: 'Тревожная кнопка', duress: 'Принуждение',
    intrusion: 'Проникновение', gas: 'Газ', co: 'Угарный газ', medical: 'Медицинская тревога', tamper: 'Вскрытие прибора',
    trouble: 'Неисправность', 'fire-trouble': 'Неисправность пожарной линии', power: 'Питание', comm: 'Связь', test: 'Проверка',
    water: 'Вода', temperature: 'Температура', technical: 'Техническая тревога', supervision: 'Контроль связи',
  },
  conditions: { alarm: 'тревога', restore: 'восстановление', trouble: 'неисправность', test: 'проверка', warning: 'предупреждение' },
  contactStates: { ringing: 'звонит', answered: 'на линии', ended: 'завершено' },
  endReasons: {
    caller_hung_up: 'заявитель положил трубку', cancelled: 'заявитель не дождался ответа', operator: 'трубку положил оператор',
    line_lost: 'линия потеряна', no_media: 'нет общего кодека', no_ack: 'соединение не подтверждено',
    shutdown: 'остановка узла', delivered: 'сообщение принято',
  },
  fields: { type: 'Тип', place: 'Место', description: 'Описание' },

  actor: {
    system: 'система', caller: (who: string) => (who ? `заявитель ${who}` : 'заявитель'), panel: (a: string) => `прибор ${a}`,
    operator: (who: string) => `оператор ${who}`, supervisor: (who: string) => `старший смены ${who}`,
    duty: (who: string) => `дежурный ${who}`, service: (who: string) => `служба «${who}»`,
  },

  journal: {
    openedCall: 'Поступил звонок, открыта карточка', openedSms: 'Поступило СМС, открыта карточка',
    openedEcall: 'Сообщение ЭРА-ГЛОНАСС, открыта карточка', openedAlarm: (c: string) => `Сигнал «${c}», открыта карточка`,
    contact: 'К карточке добавлено обращение', contactState: (s: string) => s ? `Обращение: ${s}` : 'Изменилось обращение',
    signal: (c: string, cond: string) => `Ещё сигнал: ${c}${cond ? `, ${cond}` : ''}`,
    zone: (z: string) => `шлейф ${z}`,
    registered: 'Карточка зарегистрирована', edited: 'Изменено', assigned: (s: string) => `Назначена служба: ${s}`,
    status: (s: string, to: string) => `${s}: ${to}`, undeliverable: (s: string) => `${s}: карточка не доставлена`,
    worked: 'Все службы закончили работу', closed: 'Закрыто', cancelled: 'Отменено', reopened: 'Открыто вновь',
    change: (f: string, from: string, to: string) => `${f}: ${from ? `«${from}» → ` : ''}${to ? `«${to}»` : '(пусто)'}`,
    order: (n: string) => `наряд ${n}`, rule: (r: string, set: number) => `правило ${r}${set ? `, набор ${set}` : ''}`,
  },

  time: { days: (d: number) => `${d} д` },
}

export type Dictionary = typeof ru
