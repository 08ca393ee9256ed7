"""Cases of docs/spec/broker.md that are conversations from their first byte: logins, limits, bounds, ends; both ends.

Flow: what the peer says, what must be said to it -> the reference reads along, and signs -> steps -> make.py
Never: writes what the reference would not say of it; takes a byte from ropewalk.
"""

from __future__ import annotations

from typing import Any, Self

from docs.spec.vectors.cases_broker_talk import CANCELLED, RUN, Talk, call, table
from docs.spec.vectors.reference_broker import frame, pack
from docs.spec.vectors.reference_broker_session import BEFORE, DEFAULTS, Ledger, login

__all__ = ["cases"]

SERVER, CLIENT, OTHER = "11" * 32, "22" * 32, "33" * 32
NODE, SEED, BINDING, NONE = "05" * 32, "06" * 32, "07" * 32, "00" * 32
AFTER = {"frame": 65_536, "questions": 100, "window": 1_048_576, "references": 1_000}  # the others are as before
BUSY = ["unavailable", "broker.busy"]
LATE = ["unavailable", "broker.deadline"]
DENIED = ["refused", "auth.denied"]
NO_CHANNEL = ["refused", "auth.channel-not-verified"]
PASSWORD = {"map": [["name", "anna"], ["password", "a password"]]}
TOKEN = {"map": [["token", "a token"]]}
WRONG = {"map": [["name", "anna"], ["password", "wrong"]]}
ME = {"object": [1, "Me"]}
KNOWN = "00112233445566778899aabbccddeeff"


class Entry(Talk):
    """A conversation from its first byte on; `we` are the server, or else the client."""

    def __init__(self, why: str, *, server: bool = True, node: bool = True, private: bool = True) -> None:
        super().__init__(why)
        self.server = server
        self.given = ({} if node else {"node": False}) | ({} if private else {"private": False})
        self._case: dict[str, Any] = {"server_nonce": SERVER, "client_nonce": CLIENT, "client_seed": SEED}
        self._case |= {"binding": BINDING if private else NONE} | ({"node_seed": NODE} if node else {})
        self._ledger = Ledger(DEFAULTS)
        self._ledger.halves["peer" if server else "we"].limits = dict(BEFORE)

    def signed(self, what: str, *, bound: bool = True, name: str = "", wanted: str = "", **other: str) -> Any:
        """A signature, a key or a challenge, as the reference makes it."""
        case = self._case | {"bound": bound, "name": name, "wanted": wanted} | other
        case["binding"] = case["binding"] if bound else NONE
        return {"bin": login(case)[what]}

    def proof(self, **said: Any) -> Any:
        """Of the server's, where it has a key."""
        return self.signed("server_signature", **said) if "node_seed" in self._case else None

    def key(self, *, bound: bool = True) -> Any:
        """The credentials of a login by key."""
        signature = self.signed("client_signature", bound=bound, name="anna")
        return table(name="anna", key=self.signed("client_key"), signature=signature, bound=bound)

    def greeted(self, **other: Any) -> Self:
        """The peer says hello; it tells no limits: those of a client are the defaults, of a server those before."""
        nonce = {"bin": CLIENT if self.server else SERVER}
        hello = {"ropewalk": "broker", "version": 1, "least": 1, "nonce": nonce}
        if not self.server and "node_seed" in self._case:
            hello["node"] = {"bin": login(self._case | {"bound": True, "name": "", "wanted": ""})["server_key"]}
        hello = {name: value for name, value in (hello | other).items() if value is not None}
        self.steps.append({"get": [frame(pack(table(**hello))).hex()]})
        return self

    def entered(self, kind: str = "anonymous", credentials: Any = None, *, bound: bool = True) -> Self:
        """Somebody logs in at this server, and the login is finished."""
        self.get(call(1, "login", kind, table() if credentials is None else credentials, ""))
        self.say([12, table(**AFTER)], [1, 1, [ME, self.proof(bound=bound)]])
        self.get([4, [1]])
        return self

    def refused(self, kind: str, credentials: Any, *error: str, wanted: str = "") -> Self:
        """A login at this server that fails."""
        self.get(call(1, "login", kind, credentials, wanted)).say([2, 1, *error]).get([4, [1]])
        return self

    def logs_in(self, kind: str = "anonymous", credentials: Any = None) -> Self:
        """This client logs in, says FINISH, and may say more by then."""
        self.do("login", "me", kind)
        self.say(call(1, "login", kind, table() if credentials is None else credentials, ""))
        self.get([12, table(**AFTER)], [1, 1, [ME, self.proof()]])
        self.say([4, [1]]).do("outcome", "me", "in")
        return self

    def closes(self) -> Self:
        """This end has closed the connection."""
        self.steps.append({"closes": True})
        return self

    def says_least(self, one: list[Any]) -> Self:
        """This is said, with these entries of its maps, and maybe others."""
        self.say(one)
        self.steps[-1] = {"least": one}
        return self

    def passes(self, milliseconds: int) -> Self:
        """So long nothing comes."""
        self.steps.append({"pass": milliseconds})
        return self

    def heavy(self, count: int) -> Self:
        """The peer calls with so many empty maps in an array, which is too much."""
        head = b"\x91\x95\x00\x02\x01\xa4echo\x91\xdc" + count.to_bytes(2, "big")
        self._frame(frame(head + b"\x80" * count), "broker.limit")
        self.steps[-1] = {"get": [frame(head + b"\x80" * count)[: 8 + len(head)].hex(), ["80", count]]}
        self.steps.append({"abort": "broker.limit"})
        return self


def server(why: str, *, node: bool = True, private: bool = True) -> Entry:
    """This end is the server, and the client has said hello."""
    return Entry(why, node=node, private=private).greeted()


def client(why: str, *, node: bool = True, private: bool = True) -> Entry:
    """This end is the client, and the server has said hello."""
    return Entry(why, server=False, node=node, private=private).greeted()


def _logins() -> list[Entry]:
    wrong = server("a signature that is wrong in each way")
    for forged in (
        {"signature": {"bin": "00" * 64}},
        {"key": {"bin": "09" * 32}},
        {"name": "berta"},
        {"bound": False},
        {"signature": wrong.signed("client_signature", name="anna", server_nonce=OTHER)},
        {"signature": wrong.signed("client_signature", name="anna", client_nonce=OTHER)},
        {"signature": wrong.signed("client_signature", name="anna", binding=OTHER)},
        {"signature": wrong.signed("client_signature", name="anna", node_seed=OTHER)},
        {"signature": wrong.signed("client_signature", name="anna", wanted="other")},
    ):
        entries = dict(wrong.key()["map"]) | forged
        wrong.refused("key", table(**entries), *DENIED)
    forms = server("credentials that are none by their form")
    for kind, credentials in (
        ("nobody", table()),
        ("password", table(name="anna")),
        ("token", table(token=5)),
        ("key", table(name="anna")),
        ("key", table(**(dict(forms.key()["map"]) | {"bound": 1}))),
    ):
        forms.refused(kind, credentials, "misuse", "broker.arguments")
    kinds = server("a kind of perspective that is not there, and a stranger who asks for it")
    kinds.refused("anonymous", table(), "missing", "auth.no-perspective", wanted="other")
    kinds.refused("password", WRONG, *DENIED, wanted="other")
    keyed = server("by a key")
    unbound = server("by a key that is not bound to the channel")
    public = server("by a key over a channel that is not private", private=False)
    return [
        server("anonymous").entered().get(call(2, "who", of=1)).say([1, 2, ""]),
        server("a server without a key", node=False).entered().get(call(2, "who", of=1)).say([1, 2, ""]),
        server("by a password").entered("password", PASSWORD).get(call(2, "who", of=1)).say([1, 2, "anna"]),
        server("by a token").entered("token", TOKEN).get(call(2, "who", of=1)).say([1, 2, "anna"]),
        keyed.entered("key", keyed.key()).get(call(2, "who", of=1)).say([1, 2, "anna"]),
        unbound.entered("key", unbound.key(bound=False), bound=False).get(call(2, "who", of=1)).say([1, 2, "anna"]),
        public.entered("key", public.key(bound=False), bound=False).get(call(2, "who", of=1)).say([1, 2, "anna"]),
        server("secrets that are wrong")
        .refused("password", WRONG, *DENIED)
        .refused("password", {"map": [["name", "nobody"], ["password", "a password"]]}, *DENIED)
        .refused("token", {"map": [["token", "wrong"]]}, *DENIED).entered(),
        server("secrets over a channel that is not private", private=False)
        .refused("password", PASSWORD, *NO_CHANNEL).refused("token", TOKEN, *NO_CHANNEL).entered(),
        wrong.entered(), forms.entered(), kinds.entered(),
        server("before a login there is the door alone").get(call(1, "who", of=1))
        .say([2, 1, "missing", "broker.no-object"])
        .get(call(2, "fetch", {"bin": KNOWN})).say([2, 2, "refused", "auth.required"]),
        server("what a sturdy reference stands for").entered().get(call(2, "fetch", {"bin": KNOWN}))
        .say([1, 2, {"object": [2, "Thing"]}]).get(call(3, "echo", 5, of=2)).say([1, 3, 5])
        .get(call(4, "fetch", {"bin": "ff" * 16})).say([2, 4, "missing", "broker.no-sturdy"]),
        server("a second login gives a second perspective").entered().get(call(2, "login", "anonymous", table(), ""))
        .say([12, table(**AFTER)], [1, 2, [{"object": [2, "Me"]}, server("").proof()]]),
    ]  # fmt: skip


def _bounds() -> list[Entry]:
    chain = server("a chain of more than 8 answers that wait for each other").entered().get(call(1, "hold", of=1))
    chain.get(*(call(n, "echo", n, of=[n - 1]) for n in range(2, 11))).say(*([2, n, *BUSY] for n in (9, 10)))
    queue = server("more than 16 calls that wait for others").entered().get(call(1, "hold", of=1))
    queue.get(*(call(n, "echo", n, of=[1]) for n in range(2, 20))).say(*([2, n, *BUSY] for n in (18, 19)))
    keys = [[[], 1], *([n, "some text"] for n in range(63))]
    echo = table(arguments=[table(name="value", optional=False)], yields=False)
    described = table(name="Thing", methods=table(echo=echo))
    return [
        chain.get([4, [1]]).say(*([2, n, *CANCELLED] for n in range(1, 9))),
        queue.get([4, [1]]).say([2, 1, *CANCELLED], *([2, n, *CANCELLED] for n in range(2, 18))),
        server("after the login more questions are taken").entered()
        .get(*(call(n, "hold", of=1) for n in range(1, 21))).say(),
        server("and not more than were told").entered()
        .bad("broker.limit", *(call(n, "hold", of=1) for n in range(1, 102))),
        server("a body that is too heavy").entered().heavy(7_900),
        server("a map of 64 entries with a key that is an array").entered()
        .bad("broker.frame", call(2, "echo", {"map": keys}, of=1)),
        server("a deadline that is over").entered()
        .get([*call(1, "hold", of=1), None, table(deadline=5_000)]).say().passes(6_000).say([2, 1, *LATE])
        .get([4, [1]], call(1, "echo", 5, of=1)).say([1, 1, 5]),
        server("a deadline that is over while the call is held back").entered()
        .get(call(1, "hold", of=1), [*call(2, "echo", 1, of=[1]), None, table(deadline=5_000)])
        .get(call(3, "echo", 3, of=[1]))
        .say().passes(6_000).say([2, 2, *LATE]).get([4, [1]]).say([2, 1, *CANCELLED], [2, 3, *CANCELLED]),
        Entry("who says no hello in time").passes(11_000).say([14, "broker.late"]).closes(),
        server("who does not log in in time").passes(40_000).say([14, "broker.late"]).closes(),
        server("GOAWAY of the client: what is open is answered, and then this end closes").entered()
        .get(call(1, "hold", of=1), [13, "that was all"]).say().get([4, [1]]).say([2, 1, *CANCELLED]).closes(),
        server("what an object offers").entered().get(call(2, "fetch", {"bin": KNOWN}))
        .say([1, 2, {"object": [2, "Thing"]}]).get(call(3, "@describe", of=2)).says_least([1, 3, described]),
    ]  # fmt: skip


def _clients() -> list[Entry]:
    wrong = ["refused", "broker.wrong-node"]
    keyed = client("by a key")
    plain = client("by a key over a channel that is not private", private=False)
    proofs = []
    for why, proof in (
        ("a proof that is missing", None),
        ("a proof of zeros", {"bin": "00" * 64}),
        ("a proof of another session", client("").signed("server_signature", client_nonce=OTHER)),
        ("a proof for another channel", client("").signed("server_signature", binding=OTHER)),
        ("a proof by another node", client("").signed("server_signature", node_seed=OTHER)),
    ):
        talk = client(why).do("login", "me", "anonymous").say(call(1, "login", "anonymous", table(), ""))
        proofs.append(talk.get([12, table(**AFTER)], [1, 1, [ME, proof]]).do("fails", "me", *wrong).closes())
    limits = client("LIMITS are heeded: 8 questions before, and then more").do("login", "me", "anonymous")
    limits.say(call(1, "login", "anonymous", table(), "")).get([1, 1, [ME, limits.proof()]]).say([4, [1]])
    for number in range(1, 11):
        limits.do("call", f"a{number}", "m", number)
    limits.say(*(call(n, "m", n, of=1) for n in range(1, 9))).get([12, table(**AFTER)])
    limits.say(*(call(n, "m", n, of=1) for n in (9, 10))).get([1, 10, 5]).do("outcome", "a10", 5)
    window = client("calls of more than the window wait").do("login", "me", "anonymous")
    window.say(call(1, "login", "anonymous", table(), "")).get([1, 1, [ME, window.proof()]]).say([4, [1]])
    for number in range(1, 6):
        window.do("call", f"a{number}", "m", {"zeros": 4000})
    block = {"zeros": 4000}
    window.say(*(call(n, "m", block, of=1) for n in range(1, 5))).get([12, table(**AFTER)])
    window.say(call(5, "m", block, of=1)).get([1, 5, 5]).do("outcome", "a5", 5)
    shared = client("a shared object, and changes with a gap").logs_in().do("call", "a", "m")
    shared.say(call(1, "m", of=1)).get([1, 1, {"shared": [2, "", RUN, 3, table(a=[1])]}])
    shared.say([4, [1]]).do("state", "a", 3, table(a=[1])).get([9, 2, 4, [[["a", 1], 2]]])
    shared.do("state", "a", 4, table(a=[1, 2])).bad("broker.message", [9, 2, 6, [[["a"], 9]]])
    goodbye = client("GOAWAY: nothing new is begun, and who has all answers closes").logs_in().do("call", "a", "m")
    goodbye.say(call(1, "m", of=1)).get([13, "that was all"]).do("call", "b", "m").say()
    goodbye.do("fails", "b", "unavailable", "").get([1, 1, 7]).do("outcome", "a", 7).closes()
    return [
        client("anonymous").logs_in().do("call", "a", "m", 5).say(call(1, "m", 5, of=1)).get([1, 1, 6])
        .do("outcome", "a", 6),
        client("a server without a key, of a client that expects none", node=False).logs_in(),
        client("by a password").logs_in("password", PASSWORD),
        client("by a token").logs_in("token", TOKEN),
        keyed.logs_in("key", keyed.key()),
        plain.do("login", "me", "key").say(call(1, "login", "key", plain.key(bound=False), ""))
        .get([1, 1, [ME, plain.proof(bound=False)]]).say([4, [1]]).do("outcome", "me", "in"),
        client("a login that is refused").do("login", "me", "password")
        .say(call(1, "login", "password", PASSWORD, "")).get([2, 1, *DENIED, "login failed"])
        .do("fails", "me", *DENIED).say([4, [1]]),
        client("no secret goes over a channel that is not private", private=False)
        .do("login", "me", "password").do("fails", "me", "refused", "").say()
        .do("login", "me", "token").do("fails", "me", "refused", "").say(),
        Entry("another node than the one that was meant", server=False)
        .greeted(node=client("").signed("server_key", node_seed=OTHER)).do("login", "me", "password")
        .do("fails", "me", *wrong).say().closes(),
        Entry("a server that does not say which node it is", server=False).greeted(node=None)
        .do("login", "me", "password").do("fails", "me", *wrong).say().closes(),
        *proofs, limits, window, shared, goodbye,
        client("two answers").logs_in().do("call", "a", "m").say(call(1, "m", of=1))
        .bad("broker.message", [1, 1, 6], [1, 1, 6]),
        client("a deadline is told, and ends the call").logs_in().do("late", "a", "m", 5_000)
        .say([*call(1, "m", of=1), None, table(deadline=5_000)]).passes(6_000).do("fails", "a", *LATE).say([4, [1]])
        .get([2, 1, *LATE, "late"], [10, 1]).say([11, 1]),
        client("the end of the session is the end of what is open").logs_in().do("call", "a", "m")
        .say(call(1, "m", of=1)).bad("", [14, "broker.late", "no"]).do("fails", "a", "unavailable", "broker.lost"),
    ]  # fmt: skip


def cases() -> dict[str, list[dict[str, Any]]]:
    """By file."""
    groups = {"entries": _logins() + _bounds(), "clients": _clients()}
    return {
        name: [
            {"why": talk.why} | ({"given": talk.given} if talk.given else {}) | {"steps": talk.steps} for talk in talks
        ]
        for name, talks in groups.items()
    }
