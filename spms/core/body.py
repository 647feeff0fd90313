"""A JSON body is read as what its route declares, strictly: `"800"` is no integer."""

import re
from typing import Any

import msgspec
from litestar import Request

from spms.core.errors import FieldError, Invalid
from spms.core.phone import ACCESS_NUMBER_PATTERN, HOTLINE_PATTERN, MSISDN_PATTERN

MEANINGS = {
    MSISDN_PATTERN: "write a mobile number as 86 and eleven digits, nothing else",
    HOTLINE_PATTERN: "write a landline with its area code, a 400, 800, 95xxx, 96xxx or 1010xxxx "
    "number, digits only",
    ACCESS_NUMBER_PATTERN: "write an access number: 10 and up to 19 more digits",
    "\\S": "this must not be blank",
}
"""What the patterns mean that a person meets most often, instead of the patterns themselves."""

PATH = re.compile(r"(.*) - at `\$(.*)`\Z", re.DOTALL)


class StrictRequest(Request[Any, Any, Any]):
    """Litestar's request, except that it does not coerce what a JSON body says."""

    async def json(self) -> Any:
        """Decode the body as the handler's `data`; raise `Invalid` that names the field."""
        field = getattr(self.scope["route_handler"], "parsed_data_field", None)
        if field is None:
            return await super().json()
        try:
            return msgspec.json.decode(await self.body(), type=field.annotation)
        except msgspec.ValidationError as error:
            raise Invalid("a value does not fit its field", errors=[fault(error)]) from None
        except msgspec.DecodeError as error:
            raise Invalid("the body is not JSON", code="json_malformed") from error


def fault(error: msgspec.ValidationError) -> FieldError:
    """Return the field at fault as a JSON pointer, in msgspec's words."""
    found = PATH.match(str(error))
    words, path = (found[1], found[2]) if found else (str(error), "")
    pointer = re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", path).replace(".", "/")
    return FieldError(
        pointer=pointer.replace("/...", "/*"), code="invalid", detail=without_value(words)
    )


def without_value(words: str) -> str:
    """Drop the value that some of msgspec's messages repeat: it may be a person's number."""
    for pattern, meaning in MEANINGS.items():
        if words.endswith(f"matching regex {pattern!r}"):
            return meaning
    return re.sub(
        r"\d{6,}", "…", re.sub(r"(Invalid (enum )?value) .*", r"\1", words, flags=re.DOTALL)
    )
