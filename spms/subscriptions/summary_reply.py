"""What is answered to who switches the month's bill by SMS off or on."""

from typing import Final

from spms.subscribers.model import Language

SUMMARY_SET: Final = {
    (Language.ZH, False): "今后不再每月向您发送账单短信，详单仍可登录查询。回复“开启账单”可恢复。",
    (Language.ZH, True): "今后每月将向您发送账单短信。回复“关闭账单”可关闭。",
    (
        Language.EN,
        False,
    ): "The monthly SMS about your bill is off; the bill stays online. Reply BILL "
    "ON to have it again.",
    (Language.EN, True): "The monthly SMS about your bill is on. Reply BILL OFF to switch it off.",
}


def summary_set(*, wanted: bool, language: Language) -> str:
    """Say whether the month's bill comes by SMS from now on, and how to change that."""
    return SUMMARY_SET[language, wanted]
