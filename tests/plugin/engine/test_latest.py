"""A result that is too old is dropped."""

from napari_costal.engine.latest import Latest


def test_a_ticket_is_current_until_the_next_request():
    latest = Latest()
    first, same = latest.renew(), latest.ticket()
    assert (first.is_current, same.is_current) == (True, True)
    second = latest.renew()
    assert (first.is_current, same.is_current, second.is_current) == (False, False, True)


def test_tickets_of_one_thing_say_nothing_of_another():
    frame, query = Latest(), Latest()
    ticket = frame.renew()
    query.renew()
    query.renew()
    assert ticket.is_current


def test_an_outdated_result_is_dropped_and_a_current_one_delivered():
    latest, results = Latest(), []
    old = latest.renew().only(results.append)
    new = latest.renew().only(results.append)
    new("new")
    old("old")
    assert results == ["new"]
    latest.renew()
    new("late")
    assert results == ["new"]
