"""Each check in Chinese: a sentence from the facts it was judged by (see `sentences`)."""

from collections.abc import Callable
from typing import Final

from spms.authorisation.caps import category_cap_fen, service_cap_fen, total_cap_fen
from spms.authorisation.model import Facts, Purpose, Reason, RestrictionFact
from spms.authorisation.rules import agreed, agreed_price
from spms.core.clock import SHANGHAI
from spms.core.money import yuan

STATUS: Final = {
    "applied": "已申请", "in_review": "审核中", "active": "正常", "rejected": "已驳回",
    "closed": "已关闭", "draft": "草稿", "online": "在线", "offline": "下线", "withdrawn": "已退出",
    "suspended": "停机", "terminated": "销户", None: "未知",
}  # fmt: skip
MEASURE: Final = {"shielded": "屏蔽", "offline": "下线"}
CONSENT: Final = {"confirmation": "二次确认", "order": "点播"}

NO_QUOTA: Final = "没有适用的下行配额。"
NO_SERVICE: Final = "没有可供核对的业务。"
FREE: Final = "下行消息免费，不计入任何封顶。"
NO_CATEGORY_CAP: Final = "该业务类别未设月封顶。"


def _sp_active(facts: Facts) -> str:
    return f"SP状态为{STATUS[facts.sp_status]}，仅正常状态可以继续。"


def _held(held: list[RestrictionFact], otherwise: str) -> str:
    if not held:
        return otherwise
    causes = "、".join(f"{MEASURE[one.measure]}({one.cause_kind} {one.cause_id})" for one in held)
    return f"生效中的限制：{causes}。"


def _sp_offline(facts: Facts) -> str:
    held = [one for one in facts.restrictions if one.measure == "offline" and not one.service_id]
    return _held(held, "没有使该SP整体下线的限制。")


def _service_known(facts: Facts) -> str:
    return "没有此业务代码。" if facts.service is None else f"业务{facts.service.code}已登记。"


def _service_of_sp(facts: Facts) -> str:
    if facts.service is None:
        return NO_SERVICE
    return f"该业务属于{'本' if facts.service.sp_id == facts.sp_id else '另一'}SP。"


def _service_online(facts: Facts) -> str:
    return NO_SERVICE if facts.service is None else f"业务状态为{STATUS[facts.service.status]}。"


def _service_shielded(facts: Facts) -> str:
    if facts.service is None:
        return NO_SERVICE
    held = [
        one for one in facts.restrictions
        if one.measure == "shielded" or (one.measure == "offline" and one.service_id)
    ]  # fmt: skip
    return _held(held, "没有屏蔽该业务的限制。")


def _notice(facts: Facts) -> str:
    service = facts.service
    if service is None:
        return NO_SERVICE
    if agreed(facts):
        return "用户已按当时的资费告知同意，其后的资费变更不影响其条件。"
    if service.tariff_id is None or service.tariff_price_fen is None:
        return "该业务没有生效的资费。"
    tariff = f"生效资费第{service.tariff_version}版（{yuan(service.tariff_price_fen)}元）"
    if service.notice_id is None:
        return f"{tariff}没有获批的资费告知。"
    return f"{tariff}对应的资费告知第{service.notice_version}版已获批。"


def _access_number(facts: Facts) -> str:
    if facts.service is None:
        return NO_SERVICE
    if facts.access_number is None:
        moved = facts.service.access_number_sp_id != facts.service.sp_id
        return f"SP未给出接入号；业务的接入号{'已不' if moved else ''}属于其SP。"
    return f"SP给出的接入号为{facts.access_number}，业务的接入号为{facts.service.access_number}。"


def _price(facts: Facts) -> str:
    asked = f"SP请求{yuan(facts.price_fen)}元"
    if facts.service is None or facts.service.sp_id != facts.sp_id:
        return f"{asked}；没有其自有业务，无价格可比。"
    price_fen = agreed_price(facts)
    if price_fen is None:
        return f"{asked}；没有生效的价格。"
    if facts.purpose == Purpose.MESSAGE:
        return f"{asked}；下行消息免费。"
    if facts.relation is None:
        return f"{asked}；没有订购关系，应按资费{yuan(price_fen)}元。"
    if facts.relation.consent_price_fen not in {None, price_fen}:
        return f"{asked}；订购关系与同意记录的价格不一致。"
    return f"{asked}；用户同意的价格为{yuan(price_fen)}元。"


def _number_state(facts: Facts) -> str:
    if facts.number is None:
        return "该号码不是本网号码。"
    return f"号码状态为{STATUS[facts.number.state]}（第{facts.number.epoch}任机主）。"


def _consent(facts: Facts) -> str:
    relation = facts.relation
    if relation is None:
        return "机主与该业务没有有效的订购关系。"
    if not relation.live or relation.active_from is None:
        return f"订购关系{relation.id}尚未确认。"
    since = f"订购关系{relation.id}自{relation.active_from.astimezone(SHANGHAI):%F %T}起有效"
    if relation.consent_kind is None:
        return f"{since}，但没有同意的记录。"
    return f"{since}，记录在案的同意为用户本人的{CONSENT[relation.consent_kind]}。"


def _pending(facts: Facts) -> str:
    if facts.relation is not None and not facts.relation.live:
        return f"订购关系{facts.relation.id}仍在等待用户二次确认。"
    return "没有等待二次确认的订购。"


def _bar(scope: str, what: str) -> Callable[[Facts], str]:
    def sentence(facts: Facts) -> str:
        barred = any(bar.scope == scope for bar in facts.bars)
        return f"机主{'已' if barred else '未'}屏蔽{what}。"

    return sentence


def _leave_received(facts: Facts) -> str:
    if facts.leave_received_at is None:
        return "没有尚未处理的退订意愿。"
    at = facts.leave_received_at.astimezone(SHANGHAI)
    return f"{at:%F %T}收到一条可能表示退订的短信，尚未处理完毕。"


def _trial(facts: Facts) -> str:
    relation = facts.relation
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if relation is None or relation.charge_from is None or not relation.live:
        return "没有开始计费的订购关系。"
    return f"订购关系{relation.id}自{relation.charge_from.astimezone(SHANGHAI):%F %T}起可以计费。"


def _order(facts: Facts) -> str:
    service = facts.service
    if facts.purpose == Purpose.MESSAGE or service is None or service.kind != "on_demand":
        return "仅点播业务的扣费会用掉一次点播。"
    if facts.relation is None:
        return "没有可用的点播。"
    if facts.relation.used:
        return f"点播{facts.relation.id}已用于一次扣费，不可再用。"
    return f"点播{facts.relation.id}尚未用于扣费。"


def _month(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if facts.service is None or facts.service.kind != "monthly":
        return "仅包月业务每月扣费一次。"
    if facts.spent_service_fen:
        return f"本月已扣或已预占{yuan(facts.spent_service_fen)}元。"
    return "本月尚未扣费，也没有预占。"


def _quiet(facts: Facts) -> str:
    if facts.purpose == Purpose.CHARGE:
        return "静默时段只限制下行消息。"
    if facts.service is not None and facts.service.kind == "on_demand":
        return "点播随时可以应答。"
    return "当时处于运营商的静默时段。" if facts.quiet else "当时不在静默时段。"


def _spent(spent_fen: int, cap_fen: int, what: str, price_fen: int) -> str:
    return f"{what}本月封顶{yuan(cap_fen)}元，此前已扣{yuan(spent_fen)}元，本次请求{yuan(price_fen)}元。"


def _service_cap(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    cap_fen = service_cap_fen(facts, facts.caps)
    return _spent(facts.spent_service_fen, cap_fen, "该业务", facts.price_fen)


def _category_cap(facts: Facts) -> str:
    cap_fen = category_cap_fen(facts, facts.caps)
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if cap_fen is None:
        return NO_CATEGORY_CAP
    return _spent(facts.spent_category_fen or 0, cap_fen, "该类业务", facts.price_fen)


def _category_hidden(facts: Facts) -> str:
    cap_fen = category_cap_fen(facts, facts.caps)
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    return NO_CATEGORY_CAP if cap_fen is None else f"该类业务本月封顶{yuan(cap_fen)}元。"


def _total_cap(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    cap_fen = total_cap_fen(facts, facts.caps)
    return _spent(facts.spent_total_fen or 0, cap_fen, "全部业务", facts.price_fen)


def _total_hidden(facts: Facts) -> str:
    if facts.purpose == Purpose.MESSAGE:
        return FREE
    if facts.own_caps.total_month_fen is not None:
        return "用户自行设定了全部业务的月封顶。"
    return f"全部业务本月封顶{yuan(facts.caps.total_month_fen)}元。"


def _quota(facts: Facts) -> str:
    quota, sent = facts.quota, facts.sent
    if quota is None or sent is None:
        return NO_QUOTA
    told = [
        f"{what}{most}条，此前已发{before}条"
        for what, most, before in (
            ("当日", quota.per_day, sent.day), ("当月", quota.per_month, sent.month),
        )
        if most is not None
    ]  # fmt: skip
    return f"配额第{quota.version}版：{';'.join(told) or '未约定日、月上限'}。"


def _rate(facts: Facts) -> str:
    quota, sent = facts.quota, facts.sent
    if quota is None or sent is None:
        return NO_QUOTA
    if quota.per_second is None:
        return f"配额第{quota.version}版：未约定每秒上限。"
    return f"配额第{quota.version}版：每秒{quota.per_second}条，该秒此前已发{sent.second}条。"


def _forbidden(facts: Facts) -> str:
    content = facts.content
    if content is None or not content.given:
        return "未给出消息内容。"
    if content.forbidden:
        return f"内容触及运营商名单条目：{'、'.join(content.forbidden)}。"
    return "内容未触及运营商名单。"


def _approved(facts: Facts) -> str:
    content = facts.content
    if content is None or not content.bound:
        return "该业务未限定使用获批模板。"
    if not content.given:
        return "该业务只能发送获批模板的内容，但未给出内容。"
    if content.template_id is None:
        return "内容与该业务的获批模板均不相符。"
    return f"内容符合该业务获批模板第{content.template_version}版。"


WORDS: Final[dict[Reason, Callable[[Facts], str]]] = {
    Reason.SP_NOT_ACTIVE: _sp_active,
    Reason.SP_OFFLINE: _sp_offline,
    Reason.SERVICE_UNKNOWN: _service_known,
    Reason.SERVICE_NOT_OF_SP: _service_of_sp,
    Reason.SERVICE_NOT_ONLINE: _service_online,
    Reason.SERVICE_SHIELDED: _service_shielded,
    Reason.NO_NOTICE: _notice,
    Reason.ACCESS_NUMBER_WRONG: _access_number,
    Reason.PRICE_MISMATCH: _price,
    Reason.NUMBER_UNKNOWN: _number_state,
    Reason.NUMBER_SUSPENDED: _number_state,
    Reason.NUMBER_TERMINATED: _number_state,
    Reason.NO_CONSENT: _consent,
    Reason.CONSENT_PENDING: _pending,
    Reason.BARRED_ALL: _bar("all", "全部增值业务"),
    Reason.BARRED_SP: _bar("sp", "该SP"),
    Reason.BARRED_CATEGORY: _bar("category", "该类业务"),
    Reason.LEAVE_RECEIVED: _leave_received,
    Reason.TRIAL: _trial,
    Reason.ORDER_USED: _order,
    Reason.MONTH_USED: _month,
    Reason.QUIET_HOURS: _quiet,
    Reason.CAP_SERVICE: _service_cap,
    Reason.CAP_CATEGORY: _category_cap,
    Reason.CAP_TOTAL: _total_cap,
    Reason.SP_QUOTA: _quota,
    Reason.SP_RATE: _rate,
    Reason.CONTENT_FORBIDDEN: _forbidden,
    Reason.CONTENT_NOT_APPROVED: _approved,
}
HIDDEN: Final = {Reason.CAP_TOTAL: _total_hidden, Reason.CAP_CATEGORY: _category_hidden}
