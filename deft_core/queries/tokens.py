"""The responses of a row as they were scored: values of each, and token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from deft_core.queries.relation import connected, explained, frame_of, patterns
from deft_core.queries.view import View

__all__ = ["ScoredToken", "response_lists", "response_scores", "rows_with_token", "token_detail"]


@dataclass(frozen=True)
class ScoredToken:
    text: bytes  # the token's exact bytes; they may end inside a character
    contribution: float  # r_t = u . h_t; the response's reward is the mean over its tokens
    logp: float
    d: float
    count_chosen: int
    count_rejected: int


def response_scores(view: View, row_id: str) -> pd.DataFrame:
    """Reward, log-probability (end token included) and length of every response of a row; empty where it has no scores yet."""
    if not view.parts:
        return pd.DataFrame(columns=["reward", "logp", "tokens"])
    question = "SELECT unnest(rewards) AS reward, unnest(logps) AS logp, unnest(tokens) AS tokens FROM scores_file WHERE id = ?"
    with explained(view), connected(view) as connection:
        return frame_of(connection.sql(question, params=[row_id]))


def response_lists(view: View, ids: Sequence[str]) -> pd.DataFrame:
    """Of some rows that have scores: id, and for every response its rank, reward, logp, tokens and how many of them logp sums over."""
    question = """
        SELECT id, ranks, rewards, logps, tokens, list_transform(token_logps, lambda one: len(one)) AS predicted
        FROM scores_file JOIN pairs_file USING (id) WHERE id IN (SELECT unnest(?))
    """
    with explained(view), connected(view) as connection:
        return frame_of(connection.sql(question, params=[list(ids)]))


def rows_with_token(view: View, token_id: int, limit: int) -> tuple[pd.DataFrame, int]:
    """(the `limit` scored rows whose margin a token moves most, how many rows have the token): id, in_chosen, in_rejected, moved, margin.

    in_* count it in the top-ranked responses and in all others. `moved` is the part of reward_margin that comes from the places where it
    stands: sum of r_t there over T of the first best response, minus the mean of the same over those not at the top.
    """
    if not view.parts:
        return pd.DataFrame(columns=["id", "in_chosen", "in_rejected", "moved", "margin"]), 0
    question = """
        WITH found AS (
            SELECT id, reward_margin, token_ids, token_rewards FROM scores_file WHERE list_contains(flatten(token_ids), $token)
        ), responses AS (
            SELECT id, reward_margin, generate_subscripts(ranks, 1) AS place, unnest(ranks) AS rank, unnest(token_ids) AS ids,
                   unnest(token_rewards) AS rewards
            FROM found JOIN pairs_file USING (id)
        ), parts AS (
            SELECT id, reward_margin, place, rank, len(list_filter(ids, lambda one: one = $token)) AS times,
                   coalesce(list_sum(list_filter(rewards, lambda reward, i: ids[i] = $token)), 0) / nullif(len(ids), 0) AS part
            FROM responses
        )
        SELECT id, sum(times) FILTER (rank = 1)::INTEGER AS in_chosen, sum(times) FILTER (rank > 1)::INTEGER AS in_rejected,
               any_value(part) FILTER (place = 1) - avg(part) FILTER (rank > 1) AS moved,
               any_value(reward_margin) AS margin, count(*) OVER () AS rows
        FROM parts GROUP BY id ORDER BY abs(moved) DESC NULLS LAST, id LIMIT $limit
    """
    with explained(view), connected(view) as connection:
        found = frame_of(connection.sql(question, params={"token": token_id, "limit": limit}))
    return found.drop(columns="rows"), int(found["rows"].iloc[0]) if len(found) else 0


def token_detail(view: View, row_id: str) -> list[list[ScoredToken]]:
    """The tokens of every response of a row, as they were scored; empty where the row has no scores yet."""
    if not view.parts or view.discrepancy is None:
        return []
    question = """
        WITH responses AS (
            SELECT generate_subscripts(token_ids, 1) AS response, unnest(token_ids) AS ids, unnest(token_rewards) AS rewards,
                   unnest(list_transform(token_logps, lambda logps, i: logps[1:len(token_ids[i])])) AS logps
            FROM scores_file WHERE id = ?
        ), tokens AS (
            SELECT response, generate_subscripts(ids, 1) AS place, unnest(ids) AS token_id,
                   unnest(rewards) AS contribution, unnest(logps) AS logp
            FROM responses
        )
        SELECT response - 1, coalesce(bytes, ?), contribution, logp, coalesce(d, 0), coalesce(count_chosen, 0), coalesce(count_rejected, 0)
        FROM tokens LEFT JOIN tokens_file USING (token_id) ORDER BY response, place
    """
    with explained(view), connected(view) as connection:
        connection.read_parquet(patterns([view.discrepancy])).create_view("tokens_file")
        rows = connection.execute(question, [row_id, "�".encode()]).fetchall()
        responses = connection.execute("SELECT len(token_ids) FROM scores_file WHERE id = ?", [row_id]).fetchone()
    detail: list[list[ScoredToken]] = [[] for _ in range(responses[0] if responses else 0)]  # one without tokens has no row above
    for row in rows:
        detail[row[0]].append(ScoredToken(*row[1:]))
    return detail
