"""Quota sets and classes: read and set what projects, users and everybody may have."""

from __future__ import annotations

from collections.abc import Mapping

from oslo_config import cfg
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from nova_lite.compute import projects, quotas
from nova_lite.compute.quotas import COUNTED, UNLIMITED
from nova_lite.db.models import QuotaLimit
from nova_lite.db.quota_limits import set_limits
from nova_lite.db.store import Store
from nova_lite.errors import Invalid

Limits = dict[str, int]


def read(conf: cfg.ConfigOpts, store: Store, project_id: str, user_id: str = "") -> Limits:
    """Return the limits of a project, or of one user in it."""
    with store.read() as session:
        return quotas.limits(conf, session, project_id, user_id)


def read_usage(conf: cfg.ConfigOpts, store: Store, project_id: str, user_id: str = "") -> tuple[Limits, Limits]:
    """Return limits and what is in use; a user's keypairs are theirs, whatever the project."""
    with store.read() as session:
        used = quotas.usage(session, project_id)
        used["key_pairs"] = 0
        if user_id:
            used |= quotas.usage_of_user(session, project_id, user_id)
            used["key_pairs"] = quotas.usage(session, quotas.of_user(user_id))["key_pairs"]
        return quotas.limits(conf, session, project_id, user_id), used


def read_defaults(conf: cfg.ConfigOpts, store: Store) -> Limits:
    """Return the limits of a project that nothing was set for."""
    with store.read() as session:
        return quotas.defaults(conf, session)


def read_class(conf: cfg.ConfigOpts, store: Store, name: str) -> Limits:
    """Return a class's limits; only ``default`` means anything to anybody, others show the configuration's."""
    with store.read() as session:
        return quotas.limits(conf, session, quotas.class_of(name))


def update(
    conf: cfg.ConfigOpts, store: Store, project_id: str, values: Mapping[str, int], *, user_id: str = "", force: bool
) -> Limits:
    """Set limits of a project, or of one user in it; return all of them.

    :raises Invalid: there is no such project; without *force*, a limit is below what is in use; a user's is above the project's.
    """

    def work(session: Session) -> Limits:
        projects.check_project(session, project_id)
        if user_id:
            _check_user(quotas.limits(conf, session, project_id), values)
        if not force:
            used = quotas.usage_of_user(session, project_id, user_id) if user_id else quotas.usage(session, project_id)
            _check_used(used, values)
        set_limits(session, project_id, user_id, values)
        return quotas.limits(conf, session, project_id, user_id)

    return store.transact(work)


def update_class(conf: cfg.ConfigOpts, store: Store, name: str, values: Mapping[str, int]) -> Limits:
    """Set a class's limits; return all of them."""

    def work(session: Session) -> Limits:
        set_limits(session, quotas.class_of(name), "", values)
        return quotas.limits(conf, session, quotas.class_of(name))

    return store.transact(work)


def _check_user(whole: Limits, values: Mapping[str, int]) -> None:
    for name, value in values.items():
        most = whole[name]
        if most != UNLIMITED and (value == UNLIMITED or value > most):
            raise Invalid(
                f"Quota limit {value} for {name} must be less than or equal to {most}.", "quota.above_project"
            )


def _check_used(used: Limits, values: Mapping[str, int]) -> None:
    for name, value in values.items():
        has = used.get(name, 0) if name in COUNTED else 0
        if value != UNLIMITED and value < has:
            raise Invalid(
                f"Quota limit {value} for {name} must be greater than or equal to already used and reserved {has}.",
                "quota.below_usage",
            )


def delete(store: Store, project_id: str, user_id: str = "") -> None:
    """Take back what was set for a project and its users, or for one user in it; nothing set is success.

    The Network API's limits of the project (``nova_lite.network.quotas``) stay.
    """
    condition = [QuotaLimit.project_id == project_id, QuotaLimit.resource.not_like("network.%")]
    if user_id:
        condition.append(QuotaLimit.user_id == user_id)
    store.transact(
        lambda session: session.execute(
            sql_delete(QuotaLimit).where(*condition).execution_options(synchronize_session=False)
        )
    )
