"""A tiny feed of each format, as text by file name. Tests change one thing in it."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

from sync_core.mis.academic_years import Calendar

Feed = dict[str, str]
TODAY = Calendar(date(2026, 11, 27))
"""A day within the academic year of the feeds."""


def oneroster() -> Feed:
    return {
        "manifest.csv": (
            "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\nfile.orgs,bulk\n"
            "file.academicSessions,bulk\nfile.classes,bulk\nfile.users,bulk\nfile.enrollments,bulk\n"
        ),
        "orgs.csv": (
            "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\n"
            "D1,,,A Trust,district,,\nS1,,,A School,school,1234567,D1\n"
        ),
        "academicSessions.csv": (
            "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear\n"
            "Y1,,,2026/27,schoolYear,2026-09-01,2027-08-31,,2027\n"
            "T1,,,Autumn,term,2026-09-01,2026-12-18,Y1,2027\n"
            "T2,,,Spring,term,2027-01-05,2027-03-27,Y1,2027\n"
        ),
        "classes.csv": (
            "sourcedId,status,dateLastModified,title,classType,schoolSourcedId,termSourcedIds\n"
            'C1,,,10A/Ma1,scheduled,S1,"T1,T2"\nR1,,,10A,homeroom,S1,T1\n'
        ),
        "users.csv": (
            "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,"
            "email,grades,password\n"
            "p1,,,true,S1,student,APupil,,Anne,Pupil,,10,secret\n"
            "p2,,,true,S1,student,,,Ben,Pupil,ben@else.org,10,secret\n"
            "t1,,,true,S1,teacher,First,,Ted,Teacher,,,secret\n"
            "t2,,,true,S1,teacher,Second,,Tia,Teacher,,,secret\n"
        ),
        "enrollments.csv": (
            "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary\n"
            "E1,,,C1,S1,t1,teacher,false\nE2,,,C1,S1,t2,teacher,true\n"
            "E3,,,C1,S1,p1,student,false\nE4,,,R1,S1,p2,student,\nE5,,,R1,S1,t1,teacher,\n"
        ),
    }


def oneroster_1_2() -> Feed:
    """The same school, with roles in a separate file."""
    feed = oneroster()
    feed["manifest.csv"] = feed["manifest.csv"].replace("version,1.1", "version,1.2") + "file.roles,bulk\n"
    feed["users.csv"] = (
        "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,email,grades,password\n"
        "p1,,,true,APupil,,Anne,Pupil,,10,secret\np2,,,true,,,Ben,Pupil,ben@else.org,10,secret\n"
        "t1,,,true,First,,Ted,Teacher,,,secret\nt2,,,true,Second,,Tia,Teacher,,,secret\n"
    )
    feed["roles.csv"] = (
        "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId\n"
        "r1,,,p1,primary,student,,,S1\nr2,,,p2,primary,student,,,S1\nr3,,,t1,primary,teacher,,,S1\n"
        "r4,,,t2,secondary,administrator,,,D1\nr5,,,t2,primary,teacher,,,S1\n"
    )
    return feed


def sds_v2() -> Feed:
    return {
        "orgs.csv": "sourcedId,name,type,parentSourcedId\nO1,A School,school,\n",
        "academicSessions.csv": (
            "sourcedId,title,type,schoolYear,startDate,endDate\n"
            "Y1,2026,schoolYear,2027,2026-08-24,2027-06-11\nT2,Spring,term,2027,2027-01-05,2027-03-27\n"
        ),
        "classes.csv": "sourcedId,orgSourcedId,title,sessionSourcedIds,courseSourcedId\nC1,O1,Biology 10,T2,\n",
        "users.csv": (
            "sourcedId,username,givenName,familyName,password,email,phone\n"
            "p1,pupil@else.org,A,B,secret,,123\nt1,teacher,C,D,secret,,\nt2,other,E,F,secret,,\n"
        ),
        "roles.csv": (
            "userSourcedId,orgSourcedId,role,sessionSourcedId,grade\np1,O1,student,Y1,10\nt1,O1,professor,Y1,\n"
        ),
        "enrollments.csv": ("classSourcedId,userSourcedId,role\nC1,p1,student\nC1,t2,faculty\nC1,t1,professor\n"),
    }


def sds_v1() -> Feed:
    return {
        "School.csv": "DfE Number,Name\n1234567,A School\n",
        "Section.csv": (
            "ID,School DfE Number,Section Name,Term StartDate,Term EndDate,Status\n"
            "C1,1234567,10A/Ma1,9/1/2026,7/21/2027,Active\nC2,1234567,Old,9/1/2026,7/21/2027,Inactive\n"
        ),
        "Student.csv": (
            "ID,School DfE Number,Username,Password,Secondary Email,Grade,Status\n"
            "1,1234567,APupil,secret,,10,Active\n2,1234567,Left,secret,,10,Inactive\n"
        ),
        "Teacher.csv": (
            "ID,School DfE Number,Username,Password,Secondary Email,Status\n"
            "1,1234567,,secret,ted@else.org,Active\n2,1234567,Second,secret,,Active\n"
        ),
        "StudentEnrollment.csv": "Section ID,ID\nC1,1\nC1,2\nC2,1\n",
        "TeacherRoster.csv": "Section ID,ID\nC1,1\nC1,2\n",
    }


def write(feed: Feed, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in feed.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def write_zip(feed: Feed, path: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in feed.items():
            archive.writestr(f"{inside}{name}", text)
    return path
